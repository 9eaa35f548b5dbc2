"""A file of proteins to a file of embeddings in biotrainer's HDF5 form, which `backbone: {name: imported}` reads.

Each protein is a dataset (L, D), or (D,) where embeddings are pooled, by the hash of its sequence; its attribute
`original_id` is the protein's name.
"""

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tmelt.bundle.embedding import Embed, embed
from tmelt.bundle.sequences import Query, read_queries
from tmelt.embed.chunks import chunks
from tmelt.embed.embedder import embedder_of, encoder_of, load, precision_of
from tmelt.embed.imported import IMPORTED
from tmelt.embed.shard import choose_device
from tmelt.errors import InfrastructureError, InputError
from tmelt.host.allocator import keep_freed_memory
from tmelt.storage.files import atomic_path, sha256_text
from tmelt.study.config import Backbone

ENDINGS = (".h5", ".hdf5")
RESIDUES_AT_ONCE = 50_000  # of embeddings in memory: 64 MB at ESM-2 150M's 640 features


def sequence_key(sequence: str) -> str:
    """Name of a sequence's dataset: biotrainer's hash."""
    return sha256_text(f"{sequence}_{len(sequence)}")


def embed_file(
    proteins: Path, *, backbone: Backbone, output: Path, pooled: bool, device: str, tokens: int, threads: int | None
) -> str:
    """Embed the proteins of a FASTA file or table; see `tmelt.cli.embed`.

    Args:
        tokens: of one forward pass.

    Returns:
        One line that says what was written.

    Raises:
        InputError: proteins, backbone, device or output are not what they should be.
        InfrastructureError: the download failed, or the device's memory is full.
    """
    if output.suffix not in ENDINGS:
        raise InputError(f"--output: {output}: the name should end in {' or '.join(ENDINGS)}")
    if backbone.name == IMPORTED:
        raise InputError("--backbone: imported embeddings have no network; name an ESM-2 or `transformers`")
    queries = read_queries(proteins, {"nonstandard": "mask", "length": (1, math.inf)}, set())
    sound = [query for query in queries if query.masked is not None]
    for query in queries:
        if query.masked is None:
            print(f"skipped {query.protein_id!a}: {'; '.join(query.warnings)}", file=sys.stderr)
    torch.set_num_threads(min(threads or os.cpu_count() or 1, os.cpu_count() or 1))
    keep_freed_memory()
    try:
        place = choose_device(device)
    except InfrastructureError:
        raise InputError("--device: torch finds no GPU here; give --device cpu") from None
    precision = precision_of(backbone, place)
    encode, loaded = encoder_of(backbone), load(backbone)
    model = embedder_of(loaded, precision, place, tokens)
    first: dict[str, Query] = {}
    for query in sound:
        first.setdefault(query.masked or "", query)
    try:
        with atomic_path(output) as temporary:
            _write(temporary, list(first.values()), pooled, lambda part, names: embed(model, encode, part, names))
    except OSError as error:
        raise InputError(f"--output: {output}: cannot be written ({error.strerror or error})") from None
    rows = "one row per protein" if pooled else "one row per residue"
    less = f", {len(queries) - len(sound)} skipped" if len(sound) < len(queries) else ""
    name = f"{loaded.name}{', untrained' if loaded.untrained else ''}"
    return f"{output}: {len(first)} sequences of {len(queries)} proteins{less}; {name}, layer {model.layer}, {rows}"


def _write(path: Path, queries: Sequence[Query], pooled: bool, embedded: Embed) -> None:
    import h5py

    done = 0
    with h5py.File(path, "w") as file:
        for part in chunks([len(query.sequence) for query in queries], RESIDUES_AT_ONCE):
            chunk = queries[part]
            sequences = [query.masked or "" for query in chunk]
            for query, rows in zip(chunk, embedded(sequences, [query.protein_id for query in chunk]), strict=True):
                values = rows.astype(np.float32).mean(axis=0) if pooled else rows
                made = file.create_dataset(sequence_key(query.masked or ""), data=values.astype(np.float16))
                made.attrs["original_id"] = query.protein_id
            done += len(chunk)
            print(f"{done} of {len(queries)} sequences embedded", file=sys.stderr, flush=True)
