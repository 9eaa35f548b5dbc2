"""Seconds of embedding the same proteins in several ways, on one thread or one GPU.

    python benchmarks/embedding.py                              # 23 proteins, ESM-2 150M, random weights: 4 minutes
    python benchmarks/embedding.py --full                       # 60 proteins: 10 minutes
    python benchmarks/embedding.py --device cuda --proteins 2000 --tokens 32768 --repeats 3

Peers: fair-esm as its extract.py batches (toks_per_batch 4096, sorted, padded; here without truncation and without
writing files) in fp32 and under bf16 autocast; HuggingFace's EsmModel with SDPA attention and FAESM, with the same
weights and batches, where they are installed (benchmarks/README.md). The limit is the machine's own matrix-product
rate, measured in the same run. All ways take turns, each in a process of its own, and the least time of the repeats
counts: CPU seconds, or on a GPU the clock's.
"""

import importlib
import math
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmark_table import publish

from tmelt.command import run_command
from tmelt.embed import plan
from tmelt.embed.backbone import LoadedBackbone, load_backbone
from tmelt.embed.forward import PackedESM2, choose_precision
from tmelt.embed.shard import embedded_passes
from tmelt.embed.tokens import encode
from tmelt.host.allocator import keep_freed_memory
from tmelt.study.config import Backbone

Embeddings = list[torch.Tensor]
LETTERS = "LAGVSERTIDPKQNFYMHWC"


@dataclass(frozen=True)
class Work:
    """What every way has to do, and with what."""

    sequences: list[str]
    backbone: Backbone
    tokens: int
    device: str

    @property
    def place(self) -> torch.device:
        return torch.device(self.device)


# From the work, the loaded network and a precision to a function that embeds sequences.
Embed = Callable[[list[str]], Embeddings]
Way = Callable[[Work, LoadedBackbone, str], Embed]


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
    sequences = random_sequences(60 if full else proteins, longest, seed)
    lengths = np.array([len(sequence) for sequence in sequences])
    work = Work(sequences, Backbone(name=backbone, weights="random", seed=seed), tokens, device)
    ways = _ways(peers, choose_precision("auto", work.place) == "bf16")
    times: dict[str, list[float]] = {}
    made: dict[str, Embeddings] = {}
    for _ in range(repeats):
        for name, (build, precision) in ways.items():
            try:
                seconds, arrays = _in_a_process(_timed, build, precision, work)
            except ValueError as error:
                print(f"{name} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
                continue
            made[name] = [torch.from_numpy(array) for array in arrays]
            times.setdefault(name, []).append(seconds)
            print(f"{name}: {seconds:.1f} s", file=sys.stderr, flush=True)
    precisions = {precision for _, precision in ways.values()}
    peaks = {precision: _in_a_process(matmul_rate, precision, device) for precision in precisions}
    layers, width = _size(work.backbone)
    flops = _flops(lengths, layers, width)
    exact = made.get("fair-esm, padded, fp32", made["packed, fp32"])
    base = min(times["fair-esm, padded, fp32"]) if peers else None
    rows = []
    for name in times:
        seconds = min(times[name])
        rate, peak = flops / seconds, peaks[ways[name][1]]
        rows.append(
            {
                "way": name,
                "seconds": seconds,
                "times_faster": base / seconds if base else None,
                "residues_per_s": float(lengths.sum() / seconds),
                "gflop_per_s": rate / 1e9,
                "matmul_gflop_per_s": peak / 1e9,
                "fraction_of_peak": rate / peak,
                "relative_error": _largest_error(made[name], exact),
                "least_cosine": _least_cosine(made[name], exact),
            }
        )
    publish(
        rows,
        output,
        f"Embedding {len(sequences)} proteins ({lengths.sum():,} residues, median {np.median(lengths):.0f}, longest "
        f"{lengths.max()}) with {backbone}, random weights, {flops / 1e12:.2f} TFLOP, "
        f"{'CPU seconds of one thread' if device == 'cpu' else torch.cuda.get_device_name(work.place)}, T = {tokens}",
    )


def _in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Its result, from a fresh process: no way finds what another has warmed, set or left in memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _timed(build: Way, precision: str, work: Work) -> tuple[float, list[np.ndarray]]:
    """Seconds and embeddings of one way, after two short proteins outside the clock.

    Raises:
        ValueError: this version of a peer cannot.
    """
    torch.set_num_threads(1)
    embed = build(work, load_backbone(work.backbone), precision)
    embed(sorted(work.sequences, key=len)[:2])
    start = _now(work.place)
    made = embed(work.sequences)
    seconds = _now(work.place) - start
    return seconds, [part.numpy() for part in made]  # tensors would travel as one open file each


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


def _ways(peers: bool, fast_bf16: bool) -> dict[str, tuple[Way, str]]:
    """How each way is built, and its precision, by name."""
    ways: dict[str, tuple[Way, str]] = {}
    if peers:
        ways["fair-esm, padded, fp32"] = (_fair_esm, "fp32")
        ways["fair-esm, padded, fp32, freed memory kept"] = (_fair_esm_keeping, "fp32")
        ways["fair-esm, padded, bf16 autocast"] = (_fair_esm, "bf16")
        for name in _installed_peers():
            for precision in PEERS[name][-1]:
                ways[f"{name}, padded, {precision}"] = (partial(_huggingface, name), precision)
    for precision in ("fp32", "bf16") if fast_bf16 else ("fp32",):
        ways[f"packed, {precision}"] = (_packed, precision)
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
        made[position] = row[1 : len(sequences[position]) + 1].to(torch.float32, copy=True)


def _fair_esm(work: Work, loaded: LoadedBackbone, precision: str) -> Embed:
    model = loaded.model.to(work.place)

    @torch.inference_mode()
    def embed(sequences: list[str]) -> Embeddings:
        made: dict[int, torch.Tensor] = {}
        for batch in _padded_batches(sequences, work.tokens):
            with torch.autocast(work.place.type, torch.bfloat16, enabled=precision == "bf16"):
                result = model(_padded_tokens(loaded, sequences, batch).to(work.place), repr_layers=[loaded.layer])
            _strip(result["representations"][loaded.layer].to("cpu"), sequences, batch, made)
        return [made[position] for position in range(len(sequences))]

    return embed


def _fair_esm_keeping(work: Work, loaded: LoadedBackbone, precision: str) -> Embed:
    """With the one setting of ours that helps it as well."""
    keep_freed_memory()
    return _fair_esm(work, loaded, precision)


PEERS = {  # name: what must be importable, module, class, settings, precisions
    "HuggingFace SDPA": ("torch", "transformers", "EsmModel", {"attn_implementation": "sdpa"}, ("fp32", "bf16")),
    "FAESM, its SDPA form": ("torch", "faesm.esm", "FAEsmModel", {"use_fa": False}, ("fp32", "bf16")),
    "FAESM, flash attention": ("flash_attn", "faesm.esm", "FAEsmModel", {"use_fa": True}, ("bf16",)),  # on a GPU
}


def _installed_peers() -> list[str]:
    """Names of the peers of HuggingFace's kind; what is not there is said."""
    found = []
    for name, (needed, module, kind, _, _) in PEERS.items():
        try:
            importlib.import_module(needed)
            getattr(importlib.import_module(module), kind)
            found.append(name)
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


def _huggingface(name: str, work: Work, loaded: LoadedBackbone, precision: str) -> Embed:
    """A peer of HuggingFace's kind, its weights converted outside the clock; ours prepares them inside it."""
    _, module, kind, settings, _ = PEERS[name]
    model = _huggingface_model(getattr(importlib.import_module(module), kind), settings, loaded, precision)
    model = model.to(work.place)

    @torch.inference_mode()
    def embed(sequences: list[str]) -> Embeddings:
        made: dict[int, torch.Tensor] = {}
        for batch in _padded_batches(sequences, work.tokens):
            ids = _padded_tokens(loaded, sequences, batch).to(work.place)
            mask = ids.ne(loaded.model.padding_idx).long()
            _strip(model(input_ids=ids, attention_mask=mask).last_hidden_state.to("cpu"), sequences, batch, made)
        return [made[position] for position in range(len(sequences))]

    return embed


def _packed(work: Work, loaded: LoadedBackbone, precision: str) -> Embed:
    """Ours, preparation of the weights included, as an embedding job sets it up."""
    keep_freed_memory()

    def embed(sequences: list[str]) -> Embeddings:
        model = PackedESM2(loaded, precision, work.place, work.tokens)
        names = {str(position): torch.from_numpy(encode(text, "")) for position, text in enumerate(sequences)}
        made: dict[str, torch.Tensor] = {}
        for passed in embedded_passes(model, names):  # they leave the device together, as in an embedding job
            together = torch.cat([part for _, part in passed]).cpu().split([len(part) for _, part in passed])
            made |= {name: part for (name, _), part in zip(passed, together, strict=True)}
        return [made[name] for name in names]

    return embed


def matmul_rate(precision: str, device: str) -> float:
    """Floating-point operations per second of a square matrix product: what this machine can do at best."""
    torch.set_num_threads(1)
    place, kind = torch.device(device), torch.bfloat16 if precision == "bf16" else torch.float32
    size = 8192 if device == "cuda" else 2048
    left, right = (torch.randn(size, size, device=place).to(kind) for _ in range(2))
    if precision == "bf16" and device == "cpu" and choose_precision("auto", place) == "bf16":
        laid_out = torch.ops.mkldnn._reorder_linear_weight(right, size)

        def product() -> torch.Tensor:
            return torch.ops.mkldnn._linear_pointwise(left, laid_out, None, "none", [], "")
    else:

        def product() -> torch.Tensor:
            return F.linear(left, right)

    best = math.inf
    with torch.inference_mode():
        product()
        for _ in range(8):
            start = _now(place)
            product()
            best = min(best, _now(place) - start)
    return 2 * size**3 / best


def _size(backbone: Backbone) -> tuple[int, int]:
    """Layers and width."""
    model = load_backbone(backbone).model
    return model.num_layers, model.embed_dim


def _largest_error(made: Embeddings, exact: Embeddings) -> float:
    """Largest relative error (Frobenius norms) over the proteins."""
    return max(float((ours - theirs).norm() / theirs.norm()) for ours, theirs in zip(made, exact, strict=True))


def _least_cosine(made: Embeddings, exact: Embeddings) -> float:
    """Least cosine of any residue with its exact embedding."""
    pairs = zip(made, exact, strict=True)
    return min(float(F.cosine_similarity(ours.double(), theirs.double(), dim=1).min()) for ours, theirs in pairs)


if __name__ == "__main__":
    run_command(benchmark_embedding)
