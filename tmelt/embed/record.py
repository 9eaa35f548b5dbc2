"""embedding.json: what an embedding was made with, and the hash of each of its files."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from tmelt.storage.records import read_record


@dataclass(frozen=True)
class ViewRecord:
    """Size and hashes of one view."""

    proteins: int
    residues: int
    bytes: int  # of its residues
    files: Mapping[str, str]  # SHA-256 by name


@dataclass(frozen=True)
class Key:
    """What embeddings of a sequence depend on; all segments of a cache share one.

    Attributes:
        weights_sha256: of the backbone's tensors.
        untrained: True for random weights.
        released: True where the file is known as the one that the model's authors published.
        width: features per residue.
        precision: of the matrix products, fp32 or bf16.
        tokens: of one forward pass, padding included.
    """

    backbone: str
    weights_sha256: str
    untrained: bool
    released: bool
    layer: int
    width: int
    precision: str
    device: str
    tokens: int

    def difference(self, other: "Key") -> str:
        """The fields that differ, with both values."""
        pairs = ((one.name, getattr(self, one.name), getattr(other, one.name)) for one in fields(self))
        return ", ".join(f"{name} {mine} instead of {theirs}" for name, mine, theirs in pairs if mine != theirs)


@dataclass(frozen=True)
class EmbeddingRecord(Key):
    """What the file holds.

    Attributes:
        id: name of the folder.
        per_protein: True for imported embeddings with one row per protein.
        proteins: how many of each split.
        decoys: proteins of fit in the pool.
        beyond_crop: proteins that are longer than what ESM-2 saw in training.
        views: fit and pool.
        tables: SHA-256 by name.
    """

    id: str
    per_protein: bool
    proteins: Mapping[str, int]
    decoys: int
    beyond_crop: int
    views: Mapping[str, ViewRecord]
    tables: Mapping[str, str]

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of each file of the views and each table, by its name in the embedding's folder."""
        views = {f"{view}/{name}": sha256 for view, part in self.views.items() for name, sha256 in part.files.items()}
        return views | dict(self.tables)


def read_embedding(folder: Path) -> EmbeddingRecord:
    """Read embedding.json of an embedding's folder.

    Raises:
        InputError: the file is missing or does not fit.
    """
    return read_record(EmbeddingRecord, folder / "embedding.json", f"delete {folder} and run again")
