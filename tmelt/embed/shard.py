"""One embedding job: its share of a data set's proteins, as far as the cache lacks them."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tmelt.embed import plan
from tmelt.embed.cache import SegmentWriter, check_key, open_cache
from tmelt.embed.degenerate import degenerate
from tmelt.embed.embedder import Embedder, Loaded, embedder_of, encoder_of, load, precision_of, width_of
from tmelt.embed.imported import IMPORTED, hash_of, open_source, read_embeddings
from tmelt.embed.record import Key
from tmelt.embed.view import FLOAT16
from tmelt.errors import InfrastructureError, InputError
from tmelt.host.allocator import keep_freed_memory
from tmelt.host.gpus import hold_a_gpu
from tmelt.storage.files import sha256_text
from tmelt.storage.schema import PROTEINS, read_table
from tmelt.study.config import Backbone

REPORT_EVERY_S = 10.0


def embed_share(
    proteins: Path, backbone: Backbone, cache: Path, shard: int, shards: int, tokens: int, threads: int, device: str
) -> dict[str, Any]:
    """Embed what the cache lacks of share `shard` of `shards`, segment by segment; progress goes to stderr.

    Args:
        proteins: proteins.parquet.
        backbone: the network.
        cache: folder of segments of this backbone.
        shard: 0 to shards - 1.
        shards: number of jobs.
        tokens: T, rows of a forward pass; part of the cache's key.
        threads: of torch.
        device: cpu or cuda.

    Returns:
        What was done, as JSON: counts, seconds, tokens per second, and how.

    Raises:
        InputError: bad proteins, backbone or cache.
        InfrastructureError: no such device, its memory or the disk is full.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    place = choose_device(device)
    names = _proteins_by_sequence(proteins)
    mine = plan.share({sha256_text(sequence): sequence for sequence in names}, shard, shards)
    if backbone.name == IMPORTED:
        return _import_share(names, mine, backbone, cache, shard, shards, tokens)
    ids = {sequence: same[0] for sequence, same in names.items()}
    encode = encoder_of(backbone)
    encoded = {name: encode(sequence, ids[sequence]) for name, sequence in mine.items()}
    loaded = load(backbone)
    key = _key_of(loaded, precision_of(backbone, place), place, tokens)
    stored = open_cache(cache)
    check_key(stored, key)
    missing = [name for name in mine if name not in stored.places]
    progress = _Progress(len(missing), sum(len(mine[name]) for name in missing), f"shard {shard} of {shards}")
    cpu_s = time.process_time()
    if missing:
        model = embedder_of(loaded, key.precision, place, tokens)
        del loaded  # its weights are in the model, once more
        writer = SegmentWriter(cache, key)
        protein_of = {name: ids[sequence] for name, sequence in mine.items()}
        for embedded in embedded_passes(model, {name: encoded[name] for name in missing}):
            for name, residues in to_float16(embedded, encoded, protein_of, key.layer):
                writer.add(name, residues)
            progress.add(len(embedded), sum(len(residues) for _, residues in embedded))
        writer.close()
    seconds = progress.finish()
    return {
        "shard": shard,
        "shards": shards,
        "proteins": len(mine),
        "embedded": len(missing),
        "residues": progress.residues,
        "seconds": round(seconds, 3),
        "cpu_s": round(time.process_time() - cpu_s, 3),
        "residues_per_s": round(progress.residues / seconds, 1) if missing else None,
        "damaged_segments": list(stored.damaged),
        "precision_asked": backbone.precision,
        "precision": key.precision,
        "amx": torch.cpu._is_amx_tile_supported(),
        "device": torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu",
        "threads": threads,
        "tokens": tokens,
        "weights_sha256": key.weights_sha256,
        "untrained": key.untrained,
        "released": key.released,
        "torch": torch.__version__,
    }


def _import_share(
    names: Mapping[str, Sequence[str]],
    mine: Mapping[str, str],
    backbone: Backbone,
    cache: Path,
    shard: int,
    shards: int,
    tokens: int,
) -> dict[str, Any]:
    """Copy a share's embeddings from the file that the config names to the cache."""
    path = Path(backbone.path or "")
    start = time.perf_counter()
    key = None
    residues = 0
    with open_source(path, backbone.layer) as source:
        sha256 = hash_of(path)
        stored = open_cache(cache)
        missing = {sequence: names[sequence] for name, sequence in mine.items() if name not in stored.places}
        writer = None
        for sequence, rows in read_embeddings(source, missing):
            if writer is None:
                key = imported_key(sha256, rows.shape[1], backbone.layer, tokens)
                check_key(stored, key)
                writer = SegmentWriter(cache, key)
            writer.add(sha256_text(sequence), rows)
            residues += len(rows)
        if writer is not None:
            writer.close()
        if stored.key is not None and stored.key.weights_sha256 != sha256:
            raise InputError(
                f"{path}: not the file that {cache} was filled from; restore it, or delete that folder and the data "
                "set's folder of embeddings"
            )
    seconds = time.perf_counter() - start
    print(f"embedding shard {shard} of {shards}: {len(missing)} imported from {path}", file=sys.stderr, flush=True)
    return {
        "shard": shard,
        "shards": shards,
        "proteins": len(mine),
        "embedded": len(missing),
        "residues": residues,
        "seconds": round(seconds, 3),
        "imported": source.kind,
        "weights_sha256": sha256,
        "damaged_segments": list(stored.damaged),
    }


def imported_key(sha256: str, width: int, layer: int | None, tokens: int) -> Key:
    """What imported embeddings depend on: the file that they come from."""
    return Key(IMPORTED, sha256, False, False, layer or 0, width, IMPORTED, "cpu", tokens)


def _key_of(loaded: Loaded, precision: str, device: torch.device, tokens: int) -> Key:
    """What the embeddings depend on."""
    return Key(
        backbone=loaded.name,
        weights_sha256=loaded.weights_sha256,
        untrained=loaded.untrained,
        released=loaded.released,
        layer=loaded.layer,
        width=width_of(loaded),
        precision=precision,
        device=device.type,
        tokens=tokens,
    )


def embedded_passes(model: Embedder, proteins: Mapping[str, torch.Tensor]) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """Embed proteins, forward pass by forward pass, the longest first.

    Args:
        model: the network.
        proteins: tokens of each by its name, (L + 2,).

    Yields:
        The proteins of one pass: name, and embedding in fp32 (L, D) on the model's device.
    """
    names = list(proteins)
    lengths = [len(proteins[name]) - plan.START_AND_END for name in names]
    for batch in plan.batches(lengths, model.tokens):
        rows = plan.pass_tokens(max(lengths[position] for position in batch), model.tokens)
        chosen = [names[position] for position in batch]
        yield list(zip(chosen, _forward(model, [proteins[name] for name in chosen], rows), strict=True))


def to_float16(
    embedded: list[tuple[str, torch.Tensor]], tokens: Mapping[str, torch.Tensor], ids: Mapping[str, str], layer: int
) -> list[tuple[str, np.ndarray]]:
    """Embeddings (L, D) of one pass as little-endian float16, its rounding error 2.5e-4 of a value.

    They leave the device in one piece: copied one by one, they would let a GPU wait each time.

    Args:
        embedded: embedding of each protein of the pass, fp32 (L, D).
        tokens: of each protein, (L + 2,).
        ids: of the proteins, for messages.
        layer: for messages.

    Raises:
        InputError: values that are not finite, beyond float16's range of ±65,504, or without information.
    """
    lengths = [len(residues) for _, residues in embedded]
    halves = torch.cat([residues.to(torch.float16) for _, residues in embedded]).cpu().split(lengths)
    for (name, residues), half in zip(embedded, halves, strict=True):
        if lost := int((~half.isfinite()).sum()):
            unsound = int((~residues.isfinite()).sum())
            fault = f"{unsound} not finite" if unsound else f"{lost} beyond float16's range of ±65504"
            raise InputError(
                f"protein {ids[name]}: of {residues.numel()} values of layer {layer}, {fault}; "
                "check the weights, or choose another design.backbone.layer"
            )
    arrays = [
        (name, half.numpy().astype(FLOAT16, copy=False)) for (name, _), half in zip(embedded, halves, strict=True)
    ]
    for name, array in arrays:
        if fault := degenerate(array, len(tokens[name][1:-1].unique())):
            raise InputError(
                f"protein {ids[name]}: {fault} in layer {layer}; these are no trained weights of this network: check "
                "design.backbone.weights"
            )
    return arrays


def _forward(model: Embedder, proteins: list[torch.Tensor], rows: int) -> list[torch.Tensor]:
    """One forward pass; where a GPU's memory is exhausted, a second try with an emptied allocator.

    Fewer rows would save memory, but change the embeddings' last bits between companions: the user has to decide it.

    Raises:
        InfrastructureError: out of memory twice.
    """
    with suppress(torch.OutOfMemoryError):
        return model(proteins, rows)
    torch.cuda.empty_cache()
    try:
        return model(proteins, rows)
    except torch.OutOfMemoryError as error:
        remedy = f"halve runtime.embed_tokens (now {model.tokens})" if rows <= model.tokens else "shorten the protein"
        raise InfrastructureError(
            f"the device's memory does not hold a forward pass of {rows} tokens; {remedy} "
            f"or use a larger device ({str(error).splitlines()[0]})"
        ) from None


def choose_device(name: str) -> torch.device:
    """The device, if this machine has it.

    Raises:
        InputError: neither cpu nor cuda.
        InfrastructureError: no GPU here.
    """
    if name not in ("cpu", "cuda"):
        raise InputError(f"device {name!r}: cpu or cuda")
    if name == "cuda":
        hold_a_gpu()
    if name == "cuda" and not torch.cuda.is_available():
        raise InfrastructureError("device cuda: torch finds no GPU here; set design.device to cpu or use another node")
    return torch.device(name)


def _proteins_by_sequence(path: Path) -> dict[str, list[str]]:
    """The proteins of each sequence: ids by sequence, the first one first."""
    frame = read_table(path, PROTEINS)
    if frame["sequence"].null_count():
        raise InputError(f"{path}: row {frame['sequence'].is_null().arg_max() + 1} has no sequence; drop the protein")
    ids: dict[str, list[str]] = {}
    for protein_id, sequence in zip(frame["protein_id"], frame["sequence"], strict=True):
        ids.setdefault(sequence, []).append(protein_id)
    return ids


class _Progress:
    """Counts what is done and says so on stderr every few seconds."""

    def __init__(self, proteins: int, residues: int, label: str):
        self._proteins, self._residues_total, self._label = proteins, residues, label
        self.done = self.residues = 0
        self._start = self._said = time.perf_counter()
        self._say(f"{proteins} proteins, {residues} residues to embed")

    def add(self, proteins: int, residues: int) -> None:
        self.done += proteins
        self.residues += residues
        now = time.perf_counter()
        if now - self._said >= REPORT_EVERY_S:
            self._said = now
            rate = self.residues / (now - self._start)
            left = (self._residues_total - self.residues) / rate
            share = self.residues / self._residues_total
            self._say(
                f"{self.done} of {self._proteins} proteins, {share:.0%}, {rate:,.0f} residues/s, {left:.0f} s left"
            )

    def finish(self) -> float:
        seconds = time.perf_counter() - self._start
        self._say(f"{self.done} proteins embedded in {seconds:.1f} s")
        return seconds

    def _say(self, message: str) -> None:
        print(f"embedding {self._label}: {message}", file=sys.stderr, flush=True)
