"""What a section of the page is made of: text, tables, differences of scripts, folds, and figures.

A block that shows nothing (None, a table without rows, a fold of such tables) is left out by `present`, so that a
section lists everything that it may have. The template has one macro for each kind of block.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from tmelt.report.code import Diff
from tmelt.report.figures.theme import Figure
from tmelt.report.words import interval, number


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    lead: str = ""  # bold words before it
    small: bool = True
    href: str = ""  # where the whole paragraph leads to


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Table:
    """Column names and rows of cells; the first cell of a row is its name."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    groups: Sequence[str] = ()  # a class per row
    texts: Sequence[int] = ()  # columns of words, which read from the left
    note: str = ""  # what holds for every row
    label: str = ""  # for screen readers
    kind: str = "numbers"  # classes of style.css
    heading: str = ""
    above: str = ""  # paragraphs beside the table, which go with it
    below: str = ""

    def labelled(
        self, label: str, *, kind: str = "numbers", heading: str = "", above: str = "", below: str = ""
    ) -> "Table":
        """The table as it is shown."""
        return replace(self, label=label, kind=kind, heading=heading, above=above, below=below)

    def folded(self, title: str = "") -> "Fold":
        """The table, to be unfolded by the reader."""
        return Fold(title or self.label, [self])


@dataclass(frozen=True)
class Terms:
    """Pairs of a term and what is said of it."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Fold:
    """Blocks that the reader unfolds."""

    title: str
    content: Sequence["Block | None"]
    note: str = ""  # small, beside the title


@dataclass(frozen=True)
class Tabs:
    """Figures of which the reader sees one at a time; they share a number."""

    figures: Sequence[Figure]
    titles: Sequence[str]


Block: TypeAlias = str | Text | Heading | Table | Terms | Diff | Fold | Tabs | Figure  # a str is small text


def present(blocks: Iterable[Block | None]) -> list[Block]:
    """The blocks that show something, also within folds."""
    found = []
    for block in blocks:
        if isinstance(block, Fold) and block.content:
            block = replace(block, content=present(block.content))
            shows = any(not isinstance(part, str | Text) for part in block.content)
        else:
            shows = _shows(block)
        if shows:
            found.append(block)
    return found


def _shows(block: Block | None) -> bool:
    match block:
        case Table():
            return bool(block.rows)
        case Tabs():
            return bool(block.figures)
        case Text():
            return bool(block.text)
    return bool(block)


Row: TypeAlias = Mapping[str, Any]
Cell: TypeAlias = str | Callable[[Row], str]  # the field of a row, or what makes a text of the row


def table_of(
    rows: Iterable[Row], *columns: tuple[str, Cell], words: Sequence[str] = (), note: Callable[[Row], str] | None = None
) -> Table:
    """A table with one line per row.

    Args:
        columns: head and cell of each column; the first names the row.
        words: heads of columns that read from the left.
        note: gives a note on a row: said once below where all rows have the same, otherwise a last column.
    """
    heads = [head for head, _ in columns]
    texts = [place for place, head in enumerate(heads) if head in words]
    rows = list(rows)
    lines = [[_cell(row, cell) for _, cell in columns] for row in rows]
    notes = [note(row) if note else "" for row in rows]
    if len(set(notes)) > 1:
        lines = [[*line, own] for line, own in zip(lines, notes, strict=True)]
        return Table([*heads, "note"], lines, texts=[*texts, len(heads)])
    return Table(heads, lines, texts=texts, note=notes[0] if notes else "")


def _cell(row: Row, cell: Cell) -> str:
    if not isinstance(cell, str):
        return cell(row)
    return "" if row[cell] is None else str(row[cell])


def decimal(field: str, digits: int = 2, *, signed: bool = False) -> Cell:
    """A cell with a number."""
    return lambda row: number(row[field], digits, signed=signed)


def ends(low: str = "low", high: str = "high", *, signed: bool = False) -> Cell:
    """A cell with an interval."""
    return lambda row: interval(row[low], row[high], signed=signed)


def own_note(row: Row) -> str:
    """The row's field `note`."""
    return row["note"] or ""


def of_search(row: Row) -> str:
    """Name of a search in a table: `ra, search 0`."""
    return f"{row['strategy']}, search {row['trajectory']}"
