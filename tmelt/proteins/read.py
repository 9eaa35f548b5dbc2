"""A person's own table of proteins: CSV, TSV or Parquet, with the sequences in a column or in a FASTA file.

Nothing is repaired here: what cannot be read as it stands ends in one line that names the file, the line (as an editor
counts it; for Parquet the row), the column, the fault and the remedy. What needs a decision is `clean`'s.
"""

import codecs
import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tmelt.config import Columns, Data
from tmelt.errors import InputError

MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "nd", "n.d."}
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+", re.ASCII)
DELIMITERS = {".csv": ",", ".tsv": "\t"}
DELIMITER_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    "select": "select",
    **dict.fromkeys(("test", "testing"), "test"),
    "fit": "fit",
    "stop": "stop",
}
FOREIGN = (
    (b"PK\x03\x04", "is a ZIP archive or an Excel workbook; save the sheet as CSV (UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook; save the sheet as CSV (UTF-8)"),
    (b"\x1f\x8b", "is compressed with gzip; unpack it first"),
    (b"PAR1", "is a Parquet file; name it .parquet"),
    (codecs.BOM_UTF16_LE, "is encoded as UTF-16; save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "is encoded as UTF-16; save it as UTF-8"),
)


@dataclass(frozen=True)
class Record:
    """One row of a table: one measurement of one protein."""

    row: int  # line of a text file, or row of a Parquet file, counted from 1
    protein_id: str
    sequence: str  # as it stands in the file; empty where missing
    tm: float | None  # °C, where the table is what it should be
    organism: str | None = None
    split: str | None = None  # train, val, test; or fit, stop where the table says so


@dataclass(frozen=True)
class Table:
    """Cells of a table, and how to name a place in it."""

    path: Path
    columns: list[str]
    rows: list[tuple[int, tuple[Any, ...]]]  # line or row number, cells
    unit: str  # "line" or "row"

    def fault(self, row: int, column: str, what: str, others: int = 0) -> InputError:
        """The one line about a cell; `others` counts the further rows with the same fault."""
        more = f" ({others} more such rows)" if others > 1 else " (1 more such row)" if others else ""
        return InputError(f"{self.path}: {self.unit} {row}, column {column}: {what}{more}")


def read_records(data: Data) -> tuple[list[Record], Table]:
    """Read the table named by `data.source`, with its FASTA file if there is one.

    Returns:
        The records in the table's order, and the table, whose `fault` names a place in it.

    Raises:
        InputError: the file, a row or a cell cannot be read as it stands.
    """
    columns = data.columns
    table = read_table_file(Path(data.source), set(columns.model_dump().values()))
    found = _find_columns(table, columns, data.fasta is not None)
    if not table.rows:
        raise InputError(f"{table.path}: has a header but no rows; add one row per protein")
    cells = {key: [row[1][at] for row in table.rows] for key, at in found.items()}
    rows = [row for row, _ in table.rows]
    ids = _ids(table, rows, columns.protein_id, cells.get("protein_id"))
    tms = _numbers(table, rows, columns.tm, cells["tm"])
    organisms = _texts(table, rows, columns.organism or "", cells.get("organism"))
    splits = _splits(table, rows, columns.split or "", cells.get("split"))
    if data.fasta is None:
        sequences = [text or "" for text in _texts(table, rows, columns.sequence or "", cells["sequence"], False)]
    else:
        sequences = _join(table, rows, columns.protein_id or "", ids, Path(data.fasta))
    return [Record(*parts) for parts in zip(rows, ids, sequences, tms, organisms, splits, strict=True)], table


def read_table_file(path: Path, wanted: set[str | None]) -> Table:
    """The cells of a CSV, TSV or Parquet file, by its ending; of Parquet only the wanted columns are read."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path, wanted)
    if suffix not in DELIMITERS:
        raise InputError(f"{path}: the name should end in .csv, .tsv or .parquet")
    return _read_text_table(path, DELIMITERS[suffix])


def _read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    for magic, what in FOREIGN:
        if raw.startswith(magic):
            raise InputError(f"{path}: {what}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{path}: line {line}: is not UTF-8 text; save the file with the encoding UTF-8") from None
    if not text.strip():
        raise InputError(f"{path}: is empty; write a header and one row per protein")
    return text


def _read_text_table(path: Path, delimiter: str) -> Table:
    text = _read_text(path)
    lines = re.split(r"\r\n|\r|\n", text)
    if "\0" in text:
        line = next(number for number, line in enumerate(lines, 1) if "\0" in line)
        raise InputError(f"{path}: line {line}: holds a NUL byte; is this a text file in UTF-8?")
    first = next(line for line in lines if line.strip())
    if delimiter not in first:
        for other, name in DELIMITER_NAMES.items():
            if other in first and other != delimiter:
                remedy = "name it .tsv" if other == "\t" else "name it .csv" if other == "," else "save it with commas"
                raise InputError(
                    f"{path}: columns are separated by {name}, not by {DELIMITER_NAMES[delimiter]}; {remedy}"
                )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, tuple[str, ...]]] = []
    header: list[str] | None = None
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
            elif len(cells) != len(header):
                raise InputError(
                    f"{path}: line {line}: has {len(cells)} cells where the header has {len(header)}; "
                    "is there an unquoted delimiter, a decimal comma or a cut line?"
                )
            else:
                rows.append((line, tuple(cells)))
    except csv.Error as error:
        raise InputError(f"{path}: line {before + 1}: {error}; check the quotation marks from here on") from None
    return Table(path, header or [], rows, "line")


def _read_parquet(path: Path, wanted: set[str | None]) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            parquet = pq.ParquetFile(file)
            names = parquet.schema_arrow.names
            frame = parquet.read([name for name in names if name in wanted])
            blank = [None] * frame.num_rows
            # A name that stands twice is refused below: its cells are never looked at.
            cells = [frame[name].to_pylist() if frame.column_names.count(name) == 1 else blank for name in names]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable Parquet file ({reason}); write it again") from None
    return Table(path, names, list(enumerate(zip(*cells, strict=True), 1)), "row")


def _find_columns(table: Table, columns: Columns, fasta: bool) -> dict[str, int]:
    """Where each column of ours stands in the table; an optional one under its default name may be absent."""
    names = table.columns
    broken = [at for at, name in enumerate(names, 1) if not name.isprintable()]
    if broken:
        raise InputError(f"{table.path}: the name of column {broken[0]} holds a line break or a control character")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{table.path}: column {twice[0]} stands twice in the header; rename one of them")
    if fasta and columns.protein_id is None:
        raise InputError(
            "design.data.columns.protein_id: is null, but design.data.fasta is joined on it; name the column"
        )
    if not fasta and columns.sequence is None:
        raise InputError(
            "design.data.columns.sequence: is null and design.data.fasta is not set; name the column or the file"
        )
    if fasta and columns.sequence in names:
        raise InputError(
            f"{table.path}: column {columns.sequence}: sequences stand here and in design.data.fasta; "
            "set design.data.columns.sequence to null, or remove design.data.fasta"
        )
    needed = {"tm"} | ({"protein_id"} if fasta else {"sequence"})
    found: dict[str, int] = {}
    taken: dict[str, str] = {}
    for key, field in Columns.model_fields.items():
        name = getattr(columns, key)
        if name is None or (fasta and key == "sequence"):
            continue
        if name in taken:
            raise InputError(
                f"design.data.columns.{key}: {name!r} is named for {taken[name]}, too; name another column"
            )
        taken[name] = key
        if name in names:
            found[key] = names.index(name)
            continue
        alike = next((other for other in names if other.lower() == name.lower()), None)
        if alike is not None:
            raise InputError(f"{table.path}: no column {name}, but {alike}; set design.data.columns.{key}: {alike}")
        if key in needed or name != field.default:
            shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
            raise InputError(f"{table.path}: no column {name} (there are: {shown}); set design.data.columns.{key}")
    return found


def _texts(
    table: Table, rows: list[int], column: str, cells: list[Any] | None, one_line: bool = True
) -> list[str | None]:
    """Cells as text without surrounding space; None where missing."""
    if cells is None:
        return [None] * len(rows)
    texts: list[str | None] = []
    for row, cell in zip(rows, cells, strict=True):
        if cell is not None and not isinstance(cell, str | int):
            raise table.fault(row, column, f"holds a {type(cell).__name__} instead of text")
        text = "" if cell is None else str(cell).strip()
        if one_line and not text.isprintable():
            raise table.fault(row, column, f"{text[:40]!r} holds a line break or a control character; remove it")
        texts.append(None if text.lower() in MISSING else text)
    return texts


def _ids(table: Table, rows: list[int], column: str | None, cells: list[Any] | None) -> list[str]:
    """Names of the proteins; made from the place in the table where there is no such column."""
    if cells is None or column is None:
        return [f"protein_{number:06d}" for number in range(1, len(rows) + 1)]
    ids = _texts(table, rows, column, cells)
    empty = [row for row, name in zip(rows, ids, strict=True) if name is None]
    if empty:
        remedy = "is empty; fill it in, or set design.data.columns.protein_id to null to have names made"
        raise table.fault(empty[0], column, remedy, len(empty) - 1)
    return [name for name in ids if name is not None]


def _numbers(table: Table, rows: list[int], column: str, cells: list[Any]) -> list[float | None]:
    """Cells as finite numbers; None where missing."""
    numbers: list[float | None] = []
    faults: list[tuple[int, str]] = []
    for row, cell in zip(rows, cells, strict=True):
        try:
            numbers.append(_number(cell))
        except ValueError as error:
            faults.append((row, str(error)))
    if faults:
        row, what = faults[0]
        raise table.fault(row, column, what, len(faults) - 1)
    return numbers


def _number(cell: Any) -> float | None:
    """A finite number, or None where missing; the ValueError's text says what is wrong and what to do."""
    if cell is None:
        return None
    if isinstance(cell, bool) or (not isinstance(cell, str | int | float) and not hasattr(cell, "__float__")):
        raise ValueError(f"holds a {type(cell).__name__} instead of a number")
    if not isinstance(cell, str):
        number = float(cell)
        if math.isnan(number):
            return None
    else:
        text = cell.strip()
        if text.lower() in MISSING:
            return None
        if DECIMAL_COMMA.fullmatch(text):
            raise ValueError(f"{text!r} has a decimal comma; write {text.replace(',', '.')}")
        if not NUMBER.fullmatch(text):
            raise ValueError(f"{text[:40]!r} is not a number; write the value in °C alone, or leave the cell empty")
        number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{cell!r} is not a finite number; correct it, or leave the cell empty")
    return number


def _splits(table: Table, rows: list[int], column: str, cells: list[Any] | None) -> list[str | None]:
    """The table's own split in our words; None in every row where it has none."""
    texts = _texts(table, rows, column, cells)
    if all(text is None for text in texts):
        return texts
    for row, text in zip(rows, texts, strict=True):
        if text is None:
            raise table.fault(row, column, "is empty while other rows have a split; fill it in or empty the column")
        if text.lower() not in SPLITS:
            raise table.fault(row, column, f"{text[:40]!r} is no split; write train, val or test")
    return [SPLITS[text.lower()] for text in texts if text is not None]


def _join(table: Table, rows: list[int], column: str, ids: list[str], path: Path) -> list[str]:
    """The FASTA sequence of every row."""
    by_name = read_fasta(path)
    absent = [(row, name) for row, name in zip(rows, ids, strict=True) if name not in by_name]
    if absent:
        row, name = absent[0]
        raise table.fault(row, column, f"{name!r} is not in {path}; add it, or remove the row", len(absent) - 1)
    return [by_name[name] for name in ids]


class FastaEntry(NamedTuple):
    """One entry of a FASTA file as it is written there."""

    line: int  # of the header, counted from 1
    header: str  # without `>`, single blanks between its words; may be empty
    sequence: str  # all lines joined, as written; may be empty

    @property
    def name(self) -> str:
        """The first word of the header."""
        return self.header.partition(" ")[0]


def fasta_entries(path: Path) -> list[FastaEntry]:
    """The entries of a FASTA file in its order; headers and sequences may be empty.

    Raises:
        InputError: not a text file, or text before the first header.
    """
    found: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", _read_text(path)), 1):
        if line.startswith(">"):
            found.append((number, " ".join(line[1:].split()), []))
        elif line.strip() and not line.startswith(";"):
            if not found:
                raise InputError(f"{path}: line {number}: text before the first header; a FASTA entry begins with >")
            found[-1][2].append(line)
    return [FastaEntry(number, header, "".join(lines)) for number, header, lines in found]


def read_fasta(path: Path) -> dict[str, str]:
    """Sequences by name: the first word of the header, and the accession inside `db|accession|name`.

    Raises:
        InputError: no header, an entry without sequence or name, or two different sequences of one name.
    """
    sequences: dict[str, str] = {}
    for entry in fasta_entries(path):
        if not entry.header:
            raise InputError(f"{path}: line {entry.line}: a header without a name; write >name")
        if not entry.sequence.strip():
            raise InputError(f"{path}: line {entry.line}: an entry without a sequence; add it, or remove the header")
        parts = entry.name.split("|")
        for alias in {entry.name, parts[1]} if len(parts) == 3 and parts[1] else {entry.name}:
            if sequences.setdefault(alias, entry.sequence) != entry.sequence:
                raise InputError(f"{path}: line {entry.line}: a second, different sequence for {alias!r}; rename one")
    return sequences
