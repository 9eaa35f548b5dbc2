"""From a table (`tmelt.proteins.table`) to records: one measurement of one protein each.

Columns are those that the config names, or those that the field's files have (`tmelt.proteins.columns`). What cannot
be read is a fault that names the file, the line (as an editor counts it; for Parquet the row), the column and the
remedy. All faults are collected; a study stops with the first.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tmelt.proteins.columns import FLAGS, SPLITS, Found, find_columns
from tmelt.proteins.fasta import read_fasta
from tmelt.proteins.faults import Faults
from tmelt.proteins.label import MISSING, Label, LabelError, has_decimal_commas, is_missing, parse_label
from tmelt.proteins.mutate import mutate
from tmelt.proteins.table import Table, read_table_file
from tmelt.proteins.where import rows_set_aside
from tmelt.study.config import Data

# UniProt's accession, as in the names `P12345_GENE` of the Meltome Atlas.
ACCESSION = re.compile(r"([OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2})_\S+")


@dataclass(frozen=True)
class Record:
    """One row of a table: one measurement of one protein."""

    row: int  # line of a text file, or row of a Parquet file, counted from 1
    protein_id: str
    sequence: str  # as it stands in the file; empty where missing
    tm: float | None  # the label, in the target's unit where the table is what it should be
    organism: str | None = None
    split: str | None = None  # train, val, select, test; or fit, stop where the table says so
    label: str = "exact"  # exact, approximate, uncertain, ranged or censored: see tmelt.proteins.label
    width: float = 0.0  # of a ranged label
    shown: str = ""  # the label as it is written, where it is not exact
    mutation: str = ""  # the mutation that the sequence carries, such as A123G
    parent: str | None = None  # what the protein is a variant of


@dataclass
class Reading:
    """What was read of a table."""

    records: list[Record]
    table: Table
    found: Found
    set_aside: list[tuple[str, Record, str]] = field(default_factory=list)  # reason, record without label, cell
    repairs: dict[str, tuple[str, int]] = field(default_factory=dict)  # what was found: what was done, rows

    def cells(self, name: str) -> dict[int, Any]:
        """The cells of a column by row, for the rows that were read."""
        at, read = self.table.columns.index(name), {record.row for record in self.records}
        return {row: cells[at] for row, cells in self.table.rows if row in read}


def read_records(data: Data) -> Reading:
    """Read the table named by `data.source`, with its FASTA file if there is one.

    Returns:
        The records in the table's order, and the table, whose `fault` names a place in it.

    Raises:
        InputError: the file, a row or a cell cannot be read as it stands.
    """
    reading, faults = read_all(data)
    faults.stop()
    return reading


def read_all(data: Data) -> tuple[Reading, Faults]:
    """The same with all faults instead of the first; rows with a fault are not among the records.

    Raises:
        InputError: the file is no table.
    """
    faults = Faults(Path(data.source))
    table = read_table_file(Path(data.source), set(data.columns.model_dump().values()), faults)
    faults.unit = table.unit
    found = find_columns(table, data, faults)
    reading = Reading([], table, found)
    if not table.rows:
        if not faults.found:
            faults.add("has a header but no rows; add one row per protein")
        return reading, faults
    if "tm" not in found.at or ("sequence" not in found.at and (data.fasta is None or "protein_id" not in found.at)):
        return reading, faults
    aside = rows_set_aside(table, data, found)
    if len(aside) == len(table.rows):
        faults.add_key("design.data.where", f"no row of {table.path} is left; widen it")
        return reading, faults
    _read_rows(data, reading, faults, aside)
    reading.records = [record for record in reading.records if record.row not in faults.rows]
    return reading, faults


def _read_rows(data: Data, reading: Reading, faults: Faults, aside: dict[int, tuple[str, str]]) -> None:
    table, found = reading.table, reading.found
    place = found.at["tm"]
    # A row without a label is dropped whatever else it holds: it has no faults in other columns.
    missing = {at for at, (_, cells) in enumerate(table.rows) if is_missing(cells[place])}
    names = _ids(table, found, faults, set(aside) | missing)
    reading.set_aside = [
        (what, Record(table.rows[at][0], names[at], "", None), shown) for at, (what, shown) in aside.items()
    ]
    kept = [at for at in range(len(table.rows)) if at not in aside]
    rows = [table.rows[at][0] for at in kept]
    ids = [names[at] for at in kept]
    cells = {key: [table.rows[at][1][place] for at in kept] for key, place in found.at.items()}
    labels = _labels(rows, found.names["tm"], cells["tm"], faults, reading, data.target.unit)
    organisms = _texts(rows, found.names.get("organism", ""), cells.get("organism"), faults)
    parents = _texts(rows, found.names.get("parent", ""), cells.get("parent"), faults)
    splits = _splits(rows, found, cells, faults)
    unlabelled = {table.rows[at][0] for at in missing}
    if data.fasta is None:
        column = found.names["sequence"]
        sequences = [text or "" for text in _texts(rows, column, cells["sequence"], faults, one_line=False)]
    else:
        sequences = _join(rows, found.names["protein_id"], ids, Path(data.fasta), unlabelled, faults)
    for row, name, sequence, organism, split, parent, (label, shown) in zip(
        rows, ids, sequences, organisms, splits, parents, labels, strict=True
    ):
        tm = None if label is None else label.value
        record = Record(row, name, sequence, tm, organism, split, parent=parent)
        if label is not None and label.kind != "exact":
            record = replace(record, label=label.kind, width=label.width, shown=shown)
        reading.records.append(record)
    if "mutation" in found.at:
        mutate(reading, {key: cells.get(key) for key in ("mutation", "position", "wild_type")}, data, faults)


def _texts(
    rows: list[int], column: str, cells: list[Any] | None, faults: Faults, one_line: bool = True
) -> list[str | None]:
    """Cells as text without surrounding space; None where missing."""
    if cells is None:
        return [None] * len(rows)
    texts: list[str | None] = []
    for row, cell in zip(rows, cells, strict=True):
        if cell is not None and not isinstance(cell, str | int):
            faults.add_row(row, column, f"holds a {type(cell).__name__} instead of text", "type")
            cell = None
        text = "" if cell is None else str(cell).strip()
        if one_line and not text.isprintable():
            what = f"{text[:40]!r} holds a line break or a control character; remove it"
            faults.add_row(row, column, what, "control")
        texts.append(None if text.lower() in MISSING else text)
    return texts


def _ids(table: Table, found: Found, faults: Faults, ignored: set[int]) -> list[str]:
    """Names of the proteins; made from the place in the table where there is no such column."""
    if "protein_id" not in found.at:
        return [f"protein_{number:06d}" for number in range(1, len(table.rows) + 1)]
    column, place = found.names["protein_id"], found.at["protein_id"]
    read = Faults(faults.path, faults.unit) if ignored else faults  # rows that are not read have no faults
    ids = _texts([row for row, _ in table.rows], column, [cells[place] for _, cells in table.rows], read)
    if ignored:
        kept = {row for at, (row, _) in enumerate(table.rows) if at not in ignored}
        for fault in read.found:
            for row in fault.rows:
                if row in kept:
                    faults.add_row(row, column, fault.what)
    for at, ((row, _), name) in enumerate(zip(table.rows, ids, strict=True)):
        if name is None and at not in ignored:
            what = "is empty; fill it in, or set design.data.columns.protein_id to null to have names made"
            faults.add_row(row, column, what)
    return [name or "" for name in ids]


def _labels(
    rows: list[int], column: str, cells: list[Any], faults: Faults, reading: Reading, unit: str
) -> list[tuple[Label | None, str]]:
    """The label of each cell, and the cell as it is written."""
    comma = has_decimal_commas(cells)
    if comma:
        reading.repairs["decimal commas"] = "read as points", sum("," in str(cell) for cell in cells)
    labels: list[tuple[Label | None, str]] = []
    for row, cell in zip(rows, cells, strict=True):
        try:
            labels.append((parse_label(cell, comma, unit), str(cell).strip()[:60]))
        except LabelError as error:
            labels.append((None, ""))
            faults.add_row(row, column, str(error), error.kind)
    return labels


def _splits(rows: list[int], found: Found, cells: dict[str, list[Any]], faults: Faults) -> list[str | None]:
    """The table's own split in our words; None in every row where it has none.

    FLIP marks the proteins of train that are for validation in a column of its own.
    """
    column = found.names.get("split", "")
    texts = _texts(rows, column, cells.get("split"), faults)
    if all(text is None for text in texts):
        return texts
    flags = cells.get("validation") or [None] * len(rows)
    splits: list[str | None] = []
    for row, text, flag in zip(rows, texts, flags, strict=True):
        split = SPLITS.get((text or "").lower())
        if text is None:
            faults.add_row(row, column, "is empty while other rows have a split; fill it in or empty the column")
        elif split is None:
            faults.add_row(row, column, f"{text[:40]!r} is no split; write train, val or test", "split")
        word = "" if flag is None else str(flag).strip()
        held_out = FLAGS.get(word.lower())
        if held_out is None and word.lower() not in MISSING:
            what = f"{word[:40]!r} is neither True nor False; correct it"
            faults.add_row(row, found.names["validation"], what, "flag")
        elif held_out and split in ("train", "fit"):
            split = "val"
        elif held_out and split not in ("val", None):
            what = f"is {word} in a row of {text}; only proteins of train can be for validation"
            faults.add_row(row, found.names["validation"], what, "held out")
        splits.append(split)
    return splits


def _join(rows: list[int], column: str, ids: list[str], path: Path, unlabelled: set[int], faults: Faults) -> list[str]:
    """The FASTA sequence of every row: by name, else by the accession before the `_` of the Meltome Atlas' names.

    Rows in `unlabelled` may have none.
    """
    by_name = read_fasta(path)
    sequences = []
    for row, name in zip(rows, ids, strict=True):
        accession = ACCESSION.fullmatch(name)
        text = by_name.get(name) or (by_name.get(accession.group(1)) if accession else None)
        if text is None and name and row not in unlabelled:
            faults.add_row(row, column, f"{name!r} is not in {path}; add it, or remove the row", "absent")
        sequences.append(text or "")
    return sequences
