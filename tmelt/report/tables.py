"""A table of the page: column names and rows of cells."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Column names and rows of cells; the first cell of a row is its name."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    groups: Sequence[str] = ()  # a class per row
    texts: Sequence[int] = ()  # columns of words, which read from the left
    note: str = ""  # what holds for every row


def noted(columns: Sequence[str], rows: list[list[str]], texts: Sequence[int] = ()) -> Table:
    """A table whose last column holds notes: said once below where all rows say the same, left out where none does."""
    notes = {row[-1] for row in rows}
    if len(notes) > 1:
        return Table([*columns, "note"], rows, texts=[*texts, len(columns)])
    (note,) = notes or {""}
    return Table(columns, [row[:-1] for row in rows], texts=texts, note=note)
