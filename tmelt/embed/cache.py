"""Embeddings that data sets and studies share: immutable segments of contiguous float16, found by sequence.

A cache is a folder with, per segment,

- `{SHA-256 of its bytes}.f16`: residues of its proteins one after another, little-endian float16 (ΣL, D);
- `{SHA-256 of its bytes}.parquet`: the index, one row per sequence, and in its metadata the data file's name and size
  and the `Key`: everything that embeddings depend on.

Data is renamed into place before its index, so an index that exists has its data. Names are the hashes of contents:
writers of the same sequences at the same time write the same files, and a damaged index betrays itself.
"""

import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tmelt.embed.record import Key
from tmelt.embed.view import FLOAT16
from tmelt.errors import InfrastructureError, InputError
from tmelt.storage.files import atomic_path, canonical_json, sha256_file
from tmelt.storage.schema import SEGMENT

SEGMENT_BYTES = 128 * 2**20  # what a killed job may lose; a thousand proteins of ESM-2 150M fill two


@dataclass(frozen=True)
class Place:
    """Where a sequence's residues are: rows `offset` to `offset + length` of a segment."""

    segment: Path
    offset: int
    length: int


@dataclass(frozen=True)
class Cache:
    """What a folder of segments held when it was opened."""

    folder: Path
    key: Key | None
    places: dict[str, Place]
    damaged: tuple[str, ...]
    _mapped: dict[Path, np.ndarray] = field(default_factory=dict, repr=False)

    def residues(self, sequence_sha256: str) -> np.ndarray:
        """Embedding of a sequence, float16 (L, D), mapped read-only from its segment."""
        place = self.places[sequence_sha256]
        if place.segment not in self._mapped:
            self._mapped[place.segment] = np.memmap(place.segment, FLOAT16, "r").reshape(-1, self.key.width)
        rows = self._mapped[place.segment]
        return rows[place.offset : place.offset + place.length]

    def verify(self, sequences: Iterable[str] | None = None) -> None:
        """Read the segments that hold these sequences (default: all) and compare their hashes: seconds per GB.

        Raises:
            InputError: a segment's bytes are not those that were written.
        """
        wanted = self.places if sequences is None else sequences
        for segment in sorted({self.places[sequence].segment for sequence in wanted}):
            if sha256_file(segment) != segment.stem:
                raise InputError(
                    f"{segment}: damaged, its bytes are not those that its name is the hash of; delete it and the "
                    "markers of the embedding jobs (shards/*.json), and run again"
                )


def _complain(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr, flush=True)


def open_cache(folder: Path, warn: Callable[[str], None] = _complain) -> Cache:
    """What a cache holds. A damaged segment counts as absent, with one line of warning.

    Indices are compared with their hash, data files with the size that their index gives; `Cache.verify` reads the
    data as well.

    Args:
        folder: may be missing or empty.
        warn: receives one line per damaged segment.

    Raises:
        InputError: segments of two different keys.
    """
    key: Key | None = None
    places: dict[str, Place] = {}
    damaged: list[str] = []
    for path in sorted(folder.glob("[0-9a-f]*.parquet")):
        read = _read_index(path)
        if isinstance(read, str):
            damaged.append(read)
            warn(f"{read}; ignored as if it were not there")
            continue
        found, segment, index = read
        if key is not None and found != key:
            raise InputError(
                f"{folder}: holds embeddings of two kinds ({path.name} has {found.difference(key)}); delete one kind"
            )
        key = found
        for sequence, offset, length in zip(*index, strict=True):
            places.setdefault(sequence, Place(segment, offset, length))
    return Cache(folder, key, places, tuple(damaged))


def check_key(cache: Cache, key: Key) -> None:
    """Refuse to mix embeddings made in different ways.

    Raises:
        InputError: naming each field that differs, with both values.
    """
    if cache.key is not None and cache.key != key:
        raise InputError(
            f"{cache.folder}: its embeddings were made otherwise (this run has {key.difference(cache.key)}); "
            "set these as they were, or delete the folder"
        )


def _read_index(path: Path) -> str | tuple[Key, Path, tuple[list, list, list]]:
    """Key, data file and (sequence hashes, offsets, lengths) of a segment, or what is wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"{path}: unreadable ({error.strerror})"
    if hashlib.sha256(content).hexdigest() != path.stem:
        return f"{path}: damaged, its content does not have the hash that is its name"
    table = pq.read_table(io.BytesIO(content))
    about = json.loads(table.schema.metadata[b"segment"])
    if about["key"].keys() != {one.name for one in fields(Key)}:
        return f"{path}: written by another version of this software"
    segment = path.parent / about["file"]
    try:
        size = segment.stat().st_size
    except FileNotFoundError:
        return f"{segment}: missing, but {path.name} lists {len(table)} proteins in it"
    if size != about["bytes"]:
        return f"{segment}: has {size} bytes instead of {about['bytes']}"
    columns = (table.column(name).to_pylist() for name in SEGMENT.names)
    return Key(**about["key"]), segment, tuple(columns)


class SegmentWriter:
    """Collects embeddings and writes a segment whenever enough have come; `close` writes the rest."""

    def __init__(self, folder: Path, key: Key, segment_bytes: int = SEGMENT_BYTES):
        self._folder, self._key, self._limit = folder, key, segment_bytes
        self._parts: list[tuple[str, np.ndarray]] = []
        self._size = 0

    def add(self, sequence_sha256: str, residues: np.ndarray) -> None:
        """Take in one protein's embedding, float16 (L, D).

        Raises:
            InfrastructureError: the disk does not take the segment.
        """
        if residues.dtype != FLOAT16 or residues.ndim != 2 or residues.shape[1] != self._key.width:
            raise ValueError(f"float16 (L, {self._key.width}) expected, not {residues.dtype} {residues.shape}")
        self._parts.append((sequence_sha256, residues))
        self._size += residues.nbytes
        if self._size >= self._limit:
            self.close()

    def close(self) -> None:
        """Write what has been collected, if anything.

        Raises:
            InfrastructureError: the disk does not take it.
        """
        if not self._parts:
            return
        try:
            self._write()
        except OSError as error:
            raise InfrastructureError(f"{self._folder}: cannot write a segment of the cache ({error})") from None
        self._parts, self._size = [], 0

    def _write(self) -> None:
        digest = hashlib.sha256()
        for _, residues in self._parts:
            digest.update(np.ascontiguousarray(residues))
        data_name = f"{digest.hexdigest()}.f16"
        with atomic_path(self._folder / data_name) as temporary, temporary.open("wb") as file:
            for _, residues in self._parts:
                file.write(np.ascontiguousarray(residues))
        about = {"file": data_name, "bytes": self._size, "key": asdict(self._key)}
        lengths = np.array([len(residues) for _, residues in self._parts], dtype=np.int64)
        columns = [[sequence for sequence, _ in self._parts], np.cumsum(lengths) - lengths, lengths]
        schema = SEGMENT.with_metadata({b"segment": canonical_json(about).encode()})
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_arrays([pa.array(column) for column in columns], schema=schema), buffer)
        content = buffer.getvalue()
        with atomic_path(self._folder / f"{hashlib.sha256(content).hexdigest()}.parquet") as temporary:
            temporary.write_bytes(content)
