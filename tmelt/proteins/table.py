"""A table as a file holds it: comma-, tab-, semicolon- or bar-separated text, Parquet, or FASTA with labels.

The kind of file is recognised by its content, not by its name. Cells stay as they are written.
"""

import csv
import io
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.proteins.fasta import labelled_fasta
from tmelt.proteins.faults import Faults
from tmelt.proteins.text import read_bytes, read_text

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".parquet")  # of tables, where a FASTA file is the alternative


@dataclass(frozen=True)
class Table:
    """Cells of a table, and how to name a place in it."""

    path: Path
    columns: list[str]
    rows: list[tuple[int, tuple[Any, ...]]]  # line or row number, cells
    unit: str  # "line" or "row"
    kind: str = "table"  # the kind of file, in words

    def fault(self, row: int, column: str, what: str, others: int = 0) -> InputError:
        """The one line about a cell; `others` counts the further rows with the same fault."""
        more = f" ({others} more such rows)" if others > 1 else " (1 more such row)" if others else ""
        return InputError(f"{self.path}: {self.unit} {row}, column {column}: {what}{more}")


def read_table_file(path: Path, wanted: Collection[str | None] = (), faults: Faults | None = None) -> Table:
    """The cells of a file, by its content.

    Args:
        path: the file.
        wanted: columns of a Parquet file that are read even if they hold lists or other nested values.
        faults: where lines in another encoding and rows of another length than the header are noted; without it the
            first one stops.

    Raises:
        InputError: no such file, or it is no table.
    """
    head = read_bytes(path)[:4] if path.is_file() else b""
    if head == b"PAR1" or (_suffix(path) == ".parquet" and not head.startswith(b">")):
        if path.suffix.lower() == ".gz":
            raise InputError(f"{path}: a Parquet file in gzip; unpack it first")
        return _read_parquet(path, wanted)
    text = read_text(path, faults)
    if text.lstrip().startswith(">"):
        columns, rows = labelled_fasta(path, text)
        return Table(path, columns, list(rows), "line", "FASTA with labels in the headers")
    return _read_text_table(path, text, faults)


def is_fasta(path: Path) -> bool:
    """A file that begins with a FASTA header, or whose name is not that of a table."""
    raw = read_bytes(path)[:4096].removeprefix(b"\xef\xbb\xbf").lstrip() if path.is_file() else b""
    return raw.startswith(b">") or not (raw.startswith(b"PAR1") or _suffix(path) in SUFFIXES)


def _suffix(path: Path) -> str:
    """The ending of a file's name, that before .gz if it is compressed."""
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


def is_comment(line: str) -> bool:
    """A line before the header such as `# downloaded in May`; `#id,sequence` is a header."""
    return bool(re.match(r"\s*(##|#\s|#$)", line))


def _delimiter(path: Path, text: str) -> str:
    """The delimiter that divides the header and the next rows into equal numbers of cells, two or more.

    Where several do, the header decides if only one of them is in it outside quotation marks; otherwise it stops.
    """
    lines = text.split("\n")[:200]
    start = next((at for at, line in enumerate(lines) if line.strip() and not is_comment(line)), 0)
    sample = "\n".join(lines[start:])
    counts: dict[str, tuple[int, float]] = {}
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if any(row)]
        except csv.Error:
            continue
        if rows and len(rows[0]) > 1:
            counts[delimiter] = len(rows[0]), sum(len(row) == len(rows[0]) for row in rows) / len(rows)
    if not counts:
        return ","
    best = max(share for _, share in counts.values())
    fitting = [delimiter for delimiter, (_, share) in counts.items() if share >= best - 1e-9]
    if len(fitting) > 1:
        # A comma inside names of columns, such as `Tm, °C`, divides no row: the most cells win, if clearly.
        most = max(counts[delimiter][0] for delimiter in fitting)
        fitting = [delimiter for delimiter in fitting if counts[delimiter][0] == most]
    if len(fitting) > 1:
        names = " or by ".join(DELIMITERS[delimiter] for delimiter in fitting)
        raise InputError(f"{path}: columns may be separated by {names}; save it with commas")
    return fitting[0]


def _read_text_table(path: Path, text: str, faults: Faults | None) -> Table:
    lines = re.split(r"\r\n|\r|\n", text)
    if "\0" in text:
        line = next(number for number, line in enumerate(lines, 1) if "\0" in line)
        raise InputError(f"{path}: line {line}: holds a NUL byte; is this a text file in UTF-8?")
    delimiter = _delimiter(path, text)
    noted = Faults(path) if faults is None else faults
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, tuple[str, ...]]] = []
    header: list[str] | None = None
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if header is None and is_comment(cells[0]):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
            elif len(cells) != len(header):
                noted.add_row(
                    line,
                    "",
                    f"has {len(cells)} cells where the header has {len(header)}; "
                    "is there an unquoted delimiter, a decimal comma or a cut line?",
                    "cells",
                )
            else:
                rows.append((line, tuple(cells)))
    except csv.Error as error:
        raise InputError(f"{path}: line {before + 1}: {error}; check the quotation marks from here on") from None
    if faults is None:
        noted.stop()
    return Table(path, header or [], rows, "line", f"text, separated by {DELIMITERS[delimiter]}")


def _read_parquet(path: Path, wanted: Collection[str | None]) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            parquet = pq.ParquetFile(file)
            schema = parquet.schema_arrow
            names = schema.names
            plain = {field.name for field in schema if not pa.types.is_nested(field.type)}
            frame = parquet.read([name for name in dict.fromkeys(names) if name in plain or name in wanted])
            blank = [None] * frame.num_rows
            # A name that stands twice is refused later: its cells are never looked at.
            cells = [frame[name].to_pylist() if frame.column_names.count(name) == 1 else blank for name in names]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable Parquet file ({reason}); write it again") from None
    return Table(path, names, list(enumerate(zip(*cells, strict=True), 1)), "row", "Parquet")
