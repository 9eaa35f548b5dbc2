"""Seconds of embedding the same proteins in several ways, on one thread or one GPU.

    python benchmarks/embedding.py                              # 23 proteins, ESM-2 150M, random weights: 3 minutes
    python benchmarks/embedding.py --full                       # 60 proteins: 15 minutes
    python benchmarks/embedding.py --device cuda --proteins 2000 --tokens 32768 --repeats 3

Peers: fair-esm as its extract.py batches (toks_per_batch 4096, sorted, padded; here without truncation and without
writing files) in fp32 and under bf16 autocast; HuggingFace's EsmModel with SDPA attention and FAESM, with the same
weights and batches, where they are installed (benchmarks/README.md). The limit is the machine's own matrix-product
rate, measured in the same run. All ways take turns, and the least time of the repeats counts: CPU seconds, or on a GPU
the clock's.
"""

import importlib
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmark_table import publish

from tmelt.command import run_command
from tmelt.config import Backbone
from tmelt.embed import plan
from tmelt.embed.backbone import LoadedBackbone, load_backbone
from tmelt.embed.forward import PackedESM2, choose_precision
from tmelt.embed.tokens import encode

Embeddings = list[torch.Tensor]
LETTERS = "LAGVSERTIDPKQNFYMHWC"


def benchmark_embedding(
    *,
    proteins: int = 23,  # they fill two passes of 4,096 tokens, as 60 fill six
    full: bool = False,
    backbone: str = "esm2_t30_150M_UR50D",
    tokens: int = 4096,
    repeats: int = 1,
    longest: int = 2200,
    seed: int = 0,
    peers: bool = True,
    device: str = "cpu",
    output: Path = Path("results/benchmarks/embedding.parquet"),
) -> None:
    """Time fair-esm, HuggingFace and the packed forward pass on random proteins of lengths as in UniProt."""
    torch.set_num_threads(1)
    place = torch.device(device)
    proteins = 60 if full else proteins
    sequences = random_sequences(proteins, longest, seed)
    lengths = np.array([len(sequence) for sequence in sequences])
    loaded = load_backbone(Backbone(name=backbone, weights="random", seed=seed))
    fast_bf16 = choose_precision("auto", place) == "bf16"
    ways = _ways(loaded, sequences, tokens, peers, fast_bf16, place)
    times: dict[str, list[float]] = {name: [] for name in ways}
    made: dict[str, Embeddings] = {}
    for _ in range(repeats):
        for name, (_, embed) in ways.items():
            start = _now(place)
            made[name] = embed()
            times[name].append(_now(place) - start)
            print(f"{name}: {times[name][-1]:.1f} s", file=sys.stderr, flush=True)
    peaks = {
        "fp32": _matmul_rate(torch.float32, place),
        "bf16": _matmul_rate(torch.bfloat16, place) if fast_bf16 else None,
    }
    flops = _flops(lengths, loaded.model.num_layers, loaded.model.embed_dim)
    exact = made.get("fair-esm, padded, fp32", made["packed, fp32"])
    base = min(times["fair-esm, padded, fp32"]) if peers else None
    rows = []
    for name, (precision, _) in ways.items():
        seconds = min(times[name])
        rate = flops / seconds / 1e9
        peak = peaks[precision]
        rows.append(
            {
                "way": name,
                "seconds": seconds,
                "times_faster": base / seconds if base else None,
                "residues_per_s": float(lengths.sum() / seconds),
                "gflop_per_s": rate,
                "matmul_gflop_per_s": peak,
                "fraction_of_peak": rate / peak if peak else None,
                "relative_error": _largest_error(made[name], exact),
                "least_cosine": _least_cosine(made[name], exact),
            }
        )
    publish(
        rows,
        output,
        f"Embedding {proteins} proteins ({lengths.sum():,} residues, median {np.median(lengths):.0f}, longest "
        f"{lengths.max()}) with {backbone}, random weights, {flops / 1e12:.2f} TFLOP, "
        f"{'CPU seconds of one thread' if device == 'cpu' else torch.cuda.get_device_name(place)}, T = {tokens}",
    )


def random_sequences(count: int, longest: int, seed: int) -> list[str]:
    """Random proteins, lengths log-normal with median 330 and a 4 % tail above 1,022 residues."""
    random = np.random.default_rng(seed)
    lengths = np.clip(random.lognormal(math.log(330), 0.62, count).round().astype(int), 20, longest)
    return ["".join(random.choice(list(LETTERS), length)) for length in lengths]


def _flops(lengths: np.ndarray, layers: int, width: int) -> float:
    """Floating-point operations of the blocks without padding: matrix products and attention."""
    tokens = lengths.astype(float) + plan.START_AND_END
    return float(layers * (24 * width**2 * tokens + 4 * width * tokens**2).sum())


def _now(device: torch.device) -> float:
    """CPU seconds of this process; on a GPU the clock, once the GPU has nothing left to do."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _ways(
    loaded: LoadedBackbone, sequences: list[str], tokens: int, peers: bool, fast_bf16: bool, device: torch.device
) -> dict[str, tuple[str, Callable[[], Embeddings]]]:
    """Precision and function of each way, by name."""
    ways: dict[str, tuple[str, Callable[[], Embeddings]]] = {}
    if peers:
        ways["fair-esm, padded, fp32"] = ("fp32", lambda: _fair_esm(loaded, sequences, tokens, False, device))
        ways["fair-esm, padded, bf16 autocast"] = ("bf16", lambda: _fair_esm(loaded, sequences, tokens, True, device))
        for name, (kind, settings) in _installed_peers().items():
            for precision in ("fp32", "bf16"):
                try:  # converted outside the clock; ours prepares its weights inside it
                    model = _huggingface_model(kind, settings, loaded, precision).to(device)
                except ValueError as error:
                    print(f"{name} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
                    break
                ways[f"{name}, padded, {precision}"] = (
                    precision,
                    lambda model=model: _huggingface(model, loaded, sequences, tokens, device),
                )
    for precision in ("fp32", "bf16") if fast_bf16 else ("fp32",):
        ways[f"packed, {precision}"] = (
            precision,
            lambda precision=precision: _packed(loaded, sequences, tokens, precision, device),
        )
    return ways


def _padded_batches(sequences: list[str], tokens: int) -> list[list[int]]:
    """The batches of fair-esm's extract.py: sorted by length, at most `tokens` tokens with padding."""
    from esm import FastaBatchedDataset

    return FastaBatchedDataset(sequences, sequences).get_batch_indices(tokens, extra_toks_per_seq=1)


def _padded_tokens(loaded: LoadedBackbone, sequences: list[str], batch: list[int]) -> torch.Tensor:
    convert = loaded.model.alphabet.get_batch_converter()
    return convert([(str(position), sequences[position]) for position in batch])[2]


def _strip(padded: torch.Tensor, sequences: list[str], batch: list[int], made: dict[int, torch.Tensor]) -> None:
    """Copy each protein's rows out of a padded batch (n, L, D)."""
    for position, row in zip(batch, padded, strict=True):
        made[position] = row[1 : len(sequences[position]) + 1].float().to("cpu", copy=True)


@torch.inference_mode()
def _fair_esm(
    loaded: LoadedBackbone, sequences: list[str], tokens: int, autocast: bool, device: torch.device
) -> Embeddings:
    made: dict[int, torch.Tensor] = {}
    loaded.model.to(device)
    for batch in _padded_batches(sequences, tokens):
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            ids = _padded_tokens(loaded, sequences, batch).to(device)
            result = loaded.model(ids, repr_layers=[loaded.layer])
        _strip(result["representations"][loaded.layer], sequences, batch, made)
    loaded.model.to("cpu")
    return [made[position] for position in range(len(sequences))]


def _installed_peers() -> dict[str, tuple[type, dict[str, Any]]]:
    """Classes of HuggingFace's kind with their own settings, by name; what is not there is said."""
    found = {}
    for name, module, kind, settings in (
        ("HuggingFace SDPA", "transformers", "EsmModel", {"attn_implementation": "sdpa"}),
        ("FAESM, its SDPA form", "faesm.esm", "FAEsmModel", {"use_fa": False}),
    ):
        try:
            found[name] = getattr(importlib.import_module(module), kind), settings
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def _huggingface_model(kind: type, settings: dict[str, Any], loaded: LoadedBackbone, precision: str) -> torch.nn.Module:
    """HuggingFace's ESM-2, or one derived from it, with the same weights."""
    from transformers import EsmConfig

    source = loaded.model
    config = EsmConfig(
        vocab_size=source.alphabet_size,
        mask_token_id=source.mask_idx,
        pad_token_id=source.padding_idx,
        hidden_size=source.embed_dim,
        num_hidden_layers=source.num_layers,
        num_attention_heads=source.attention_heads,
        intermediate_size=4 * source.embed_dim,
        position_embedding_type="rotary",
        token_dropout=source.token_dropout,
        emb_layer_norm_before=False,
        layer_norm_eps=1e-5,
        **settings,
    )
    model = kind(config, add_pooling_layer=False).eval()
    parts = {
        "attention.self.query": "self_attn.q_proj",
        "attention.self.key": "self_attn.k_proj",
        "attention.self.value": "self_attn.v_proj",
        "attention.output.dense": "self_attn.out_proj",
        "attention.LayerNorm": "self_attn_layer_norm",
        "intermediate.dense": "fc1",
        "output.dense": "fc2",
        "LayerNorm": "final_layer_norm",
    }
    state = {"embeddings.word_embeddings.weight": source.embed_tokens.weight}
    for kind in ("weight", "bias"):
        state[f"encoder.emb_layer_norm_after.{kind}"] = getattr(source.emb_layer_norm_after, kind)
        for number, layer in enumerate(source.layers):
            for theirs, ours in parts.items():
                state[f"encoder.layer.{number}.{theirs}.{kind}"] = layer.get_parameter(f"{ours}.{kind}")
    missing, unexpected = model.load_state_dict(state, strict=False)
    unused = ("contact_head", "position_embeddings")  # the latter of absolute positions; older versions have it always
    lacking = [
        name for name in missing if name.endswith(("weight", "bias")) and not any(part in name for part in unused)
    ]
    if unexpected or lacking:
        raise RuntimeError(f"this version of transformers names ESM-2's weights otherwise: {unexpected or lacking}")
    return model.to(torch.bfloat16) if precision == "bf16" else model


@torch.inference_mode()
def _huggingface(
    model: torch.nn.Module, loaded: LoadedBackbone, sequences: list[str], tokens: int, device: torch.device
) -> Embeddings:
    made: dict[int, torch.Tensor] = {}
    for batch in _padded_batches(sequences, tokens):
        ids = _padded_tokens(loaded, sequences, batch).to(device)
        mask = ids.ne(loaded.model.padding_idx).long()
        _strip(model(input_ids=ids, attention_mask=mask).last_hidden_state, sequences, batch, made)
    return [made[position] for position in range(len(sequences))]


def _packed(
    loaded: LoadedBackbone, sequences: list[str], tokens: int, precision: str, device: torch.device
) -> Embeddings:
    """Ours, preparation of the weights included."""
    model = PackedESM2(loaded, precision, device, tokens)
    lengths = [len(sequence) for sequence in sequences]
    made: dict[int, torch.Tensor] = {}
    for batch in plan.batches(lengths, tokens):
        rows = plan.pass_tokens(max(lengths[position] for position in batch), tokens)
        embedded = model([torch.from_numpy(encode(sequences[position], str(position))) for position in batch], rows)
        made |= {position: part.to("cpu", copy=True) for position, part in zip(batch, embedded, strict=True)}
    return [made[position] for position in range(len(sequences))]


def _matmul_rate(kind: torch.dtype, device: torch.device, repeats: int = 8) -> float:
    """GFLOP per second of a square matrix product: what this machine can do at best."""
    size = 8192 if device.type == "cuda" else 2048
    left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    if kind == torch.bfloat16 and device.type == "cpu":
        laid_out = torch.ops.mkldnn._reorder_linear_weight(right, size)

        def product() -> torch.Tensor:
            return torch.ops.mkldnn._linear_pointwise(left, laid_out, None, "none", [], "")
    else:

        def product() -> torch.Tensor:
            return F.linear(left, right)

    best = math.inf
    with torch.inference_mode():
        product()
        for _ in range(repeats):
            start = _now(device)
            product()
            best = min(best, _now(device) - start)
    return 2 * size**3 / best / 1e9


def _largest_error(made: Embeddings, exact: Embeddings) -> float:
    """Largest relative error (Frobenius norms) over the proteins."""
    return max(float((ours - theirs).norm() / theirs.norm()) for ours, theirs in zip(made, exact, strict=True))


def _least_cosine(made: Embeddings, exact: Embeddings) -> float:
    """Least cosine of any residue with its exact embedding."""
    pairs = zip(made, exact, strict=True)
    return min(float(F.cosine_similarity(ours.double(), theirs.double(), dim=1).min()) for ours, theirs in pairs)


if __name__ == "__main__":
    run_command(benchmark_embedding)
