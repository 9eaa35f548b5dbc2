"""The packed forward pass: equal to fair-esm's own, and the same bits whatever shares a pass."""

import numpy as np
import pytest
import torch

from tmelt.embed import plan
from tmelt.embed.backbone import load_backbone
from tmelt.embed.forward import PackedESM2, choose_precision
from tmelt.embed.tokens import encode
from tmelt.errors import InputError
from tmelt.study.config import Backbone

CPU = torch.device("cpu")
LETTERS = list("LAGVSERTIDPKQNFYMHWCX")
needs_amx = pytest.mark.skipif(
    not torch.cpu._is_amx_tile_supported(),
    reason="bf16 on a CPU needs AMX: run it on a Xeon of the fourth generation or later",
)


@pytest.fixture(scope="module", params=["tiny", "esm2_t6_8M_UR50D"])
def backbone(request):
    torch.set_num_threads(1)
    loaded = load_backbone(Backbone(name=request.param, weights="random", seed=1))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        # Fresh layer norms and biases are 1 and 0, which would hide a mistake in folding them.
        for name, parameter in loaded.model.named_parameters():
            if "layer_norm" in name or name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
    return loaded


def _proteins(*lengths: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(LETTERS, length)) for length in lengths]


def _embed(model: PackedESM2, sequences: list[str]) -> list[torch.Tensor]:
    """All sequences in the passes that the plan makes of them, in their own order."""
    lengths = [len(sequence) for sequence in sequences]
    embedded = {}
    for batch in plan.batches(lengths, model.tokens):
        rows = plan.pass_tokens(max(lengths[position] for position in batch), model.tokens)
        tokens = [torch.from_numpy(encode(sequences[position], "p")) for position in batch]
        embedded |= dict(zip(batch, model(tokens, rows), strict=True))
    return [embedded[position] for position in range(len(sequences))]


def _reference(backbone, sequences: list[str], layer: int) -> list[torch.Tensor]:
    """fair-esm's own batch converter and forward pass, padded."""
    convert = backbone.model.alphabet.get_batch_converter()
    _, _, tokens = convert([(str(number), sequence) for number, sequence in enumerate(sequences)])
    with torch.no_grad():
        padded = backbone.model(tokens, repr_layers=[layer])["representations"][layer]
    return [row[1 : len(sequence) + 1] for row, sequence in zip(padded, sequences, strict=True)]


def _relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def test_fp32_equals_fair_esm(backbone):
    sequences = _proteins(1, 2, 17, 64, 333, 120)
    ours = _embed(PackedESM2(backbone, "fp32", CPU, 1024), sequences)
    for mine, theirs in zip(ours, _reference(backbone, sequences, backbone.layer), strict=True):
        assert mine.shape == theirs.shape
        assert _relative_error(mine, theirs) < 1e-6


@needs_amx
def test_bf16_is_close_to_fair_esm(backbone):
    sequences = _proteins(17, 64, 333)
    ours = _embed(PackedESM2(backbone, "bf16", CPU, 1024), sequences)
    for mine, theirs in zip(ours, _reference(backbone, sequences, backbone.layer), strict=True):
        assert mine.dtype == torch.float32
        assert _relative_error(mine, theirs) < 1e-2
        assert float(torch.cosine_similarity(mine.flatten(), theirs.flatten(), dim=0)) > 0.99998


@pytest.mark.parametrize("layer", [0, 1, 3, 4])
def test_every_layer_equals_fair_esm(layer):
    backbone = load_backbone(Backbone(name="tiny", weights="random", layer=layer))
    sequences = _proteins(30, 90)
    ours = _embed(PackedESM2(backbone, "fp32", CPU, 512), sequences)
    for mine, theirs in zip(ours, _reference(backbone, sequences, layer), strict=True):
        assert _relative_error(mine, theirs) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_amx)])
def test_companions_order_and_position_change_no_bit(backbone, precision):
    model = PackedESM2(backbone, precision, CPU, 1024)
    sequences = _proteins(200, 37, 415, 18, 99, 251, 77, 330)
    together = _embed(model, sequences)
    for order in ([5, 0, 7, 3], [6], [2, 4], [7, 6, 5, 4, 3, 2, 1, 0]):
        for position, again in zip(order, _embed(model, [sequences[position] for position in order]), strict=True):
            assert torch.equal(again, together[position])
    # In a pass in an arbitrary order, at an arbitrary place.
    tokens = {position: torch.from_numpy(encode(sequences[position], "p")) for position in (1, 4, 0, 6)}
    for position, again in zip(tokens, model(list(tokens.values()), 1024), strict=True):
        assert torch.equal(again, together[position])


def test_a_sequence_longer_than_a_pass_is_embedded_whole():
    backbone = load_backbone(Backbone(name="tiny", weights="random"))
    sequences = _proteins(700, 40)
    ours = _embed(PackedESM2(backbone, "fp32", CPU, 512), sequences)
    assert [len(mine) for mine in ours] == [700, 40]
    for mine, theirs in zip(ours, _reference(backbone, sequences, 4), strict=True):
        assert _relative_error(mine, theirs) < 1e-6


@pytest.mark.slow
def test_memory_stays_flat_for_a_long_protein():
    """Attention over 8,000 residues would fill 8,000² × 4 heads × 4 B = 1 GB as one array."""
    import subprocess
    import sys

    script = """
import resource, torch
torch.set_num_threads(1)
from tmelt.study.config import Backbone
from tmelt.embed.backbone import load_backbone
from tmelt.embed.forward import PackedESM2
model = PackedESM2(load_backbone(Backbone(name="tiny", weights="random")), "fp32", torch.device("cpu"), 4096)
model([torch.full((4000,), 5, dtype=torch.uint8)], 4096)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model([torch.full((8002,), 5, dtype=torch.uint8)], 8192)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100_000  # kB


def test_too_many_tokens_are_a_mistake_of_the_caller():
    model = PackedESM2(load_backbone(Backbone(name="tiny", weights="random")), "fp32", CPU, 512)
    with pytest.raises(ValueError, match="do not fit"):
        model([torch.zeros(600, dtype=torch.uint8)], 512)


def test_every_letter_has_fair_esms_token():
    sequence = "LAGVSERTIDPKQNFYMHWCXBUZO.-"
    backbone = load_backbone(Backbone(name="tiny", weights="random"))
    _, _, tokens = backbone.model.alphabet.get_batch_converter()([("p", sequence)])
    assert encode(sequence, "p").tolist() == tokens[0].tolist()


@pytest.mark.parametrize("sequence", ["MKJ", "MKl", "MK*", "MK L", "MK<mask>", "MKÄ", "MK漢"])
def test_a_letter_without_a_token_is_refused_by_name_and_place(sequence):
    with pytest.raises(InputError, match=f"protein p7: residue {sequence[2]!r} at position 3".replace("*", r"\*")):
        encode(sequence, "p7")


def test_an_empty_sequence_is_refused():
    with pytest.raises(InputError, match="protein p7: empty"):
        encode("", "p7")


def test_precision_is_gated_on_amx(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert choose_precision("auto", CPU) == choose_precision("fp32", CPU) == "fp32"
    with pytest.raises(InputError, match="bf16 is not supported by this cpu"):
        choose_precision("bf16", CPU)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert choose_precision("auto", CPU) == choose_precision("bf16", CPU) == "bf16"
    assert choose_precision("fp32", CPU) == "fp32"


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_agrees_with_fair_esm_and_companions_change_no_bit(backbone, precision):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: run it where there is a GPU")
    model = PackedESM2(backbone, precision, torch.device("cuda"), 4096)
    sequences = _proteins(200, 37, 1000, 18, 99, 251, 5000)
    together = _embed(model, sequences)
    for mine, theirs in zip(together[:-1], _reference(backbone, sequences[:-1], backbone.layer), strict=True):
        assert _relative_error(mine.cpu(), theirs) < (1e-5 if precision == "fp32" else 1e-2)
    for position in (0, 1, 2, 6):
        assert torch.equal(_embed(model, [sequences[position]])[0], together[position])
