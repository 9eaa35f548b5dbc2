"""data.json: where a data set's proteins come from, how many there are, and how they were split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmelt.storage.records import read_record


@dataclass(frozen=True)
class DataRecord:
    """What the file holds; written by tmelt.proteins.prepare.

    Attributes:
        description: one line for people and prompts; of labels it tells those of fit alone.
        source: path of the table, or `synthetic`.
        files: SHA-256 of each source file by its path.
        rows: of the table.
        residues: of all proteins.
        longest: residues of the longest protein.
        splits: proteins of each split.
        organisms: proteins of each split by organism.
        split: how the proteins were split.
        generator: what the generator of synthetic proteins was asked for and knows; None for a table.
        columns: what was found in the table's columns; None for synthetic proteins.
    """

    name: str
    description: str
    source: str
    synthetic: bool
    files: Mapping[str, str]
    rows: int
    proteins: int
    residues: int
    longest: int
    splits: Mapping[str, int]
    organisms: Mapping[str, Mapping[str, int]]
    split: Mapping[str, Any]
    shuffled_labels: bool
    generator: Mapping[str, Any] | None
    columns: Any = None

    @property
    def bounds(self) -> Mapping[str, Mapping[str, float]]:
        """MAE that the generator knows to be reachable, by split and bound; empty where nothing is known."""
        return (self.generator or {}).get("floors") or {}


def read_data(folder: Path) -> DataRecord:
    """Read data.json of a data set's folder.

    Raises:
        InputError: the file is missing or does not fit.
    """
    return read_record(DataRecord, folder / "data.json", f"delete {folder} and run again")
