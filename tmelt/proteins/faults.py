"""Faults of a file, collected, so that all of them can be shown at once.

A study stops with one line: the first fault, and how many others there are. `tmelt check` lists all of them.
"""

from dataclasses import dataclass, field
from pathlib import Path

from tmelt.errors import InputError


@dataclass
class Fault:
    """One kind of fault, and every row that has it."""

    where: str  # the file and the column, for example `mine.csv: column tm`; or a key of the config
    what: str  # what is wrong, and the remedy; that of the first row, where rows differ
    rows: list[int] = field(default_factory=list)  # empty where the fault is not one of rows
    unit: str = "line"  # or "row"
    path: Path | None = None
    column: str = ""

    def line(self) -> str:
        """The fault as one line, with its first row and the number of others."""
        if self.path is None or not self.rows:
            return f"{self.where}: {self.what}" if self.where else self.what
        others = len(self.rows) - 1
        more = f" ({others} more such rows)" if others > 1 else " (1 more such row)" if others else ""
        column = f", column {self.column}" if self.column else ""
        return f"{self.path}: {self.unit} {self.rows[0]}{column}: {self.what}{more}"

    def others(self, most: int) -> str:
        """The further rows of the fault, at most so many by number; empty where there are none."""
        further = self.rows[1:]
        shown = ", ".join(map(str, further[:most])) + (f", … ({len(further)} in all)" if len(further) > most else "")
        return f"also {self.unit}{'s' * (len(further) > 1)} {shown}" if further else ""


class Faults:
    """The faults found so far in one table."""

    def __init__(self, path: Path, unit: str = "line"):
        self.path, self.unit = path, unit
        self.found: list[Fault] = []
        self._kinds: dict[tuple[str, str], Fault] = {}

    def add(self, what: str, *, column: str = "") -> None:
        """A fault of the whole file, or of a whole column."""
        self.found.append(Fault(f"{self.path}: column {column}" if column else str(self.path), what))

    def add_key(self, key: str, what: str) -> None:
        """A fault of a key of the config."""
        self.found.append(Fault(key, what))

    def add_row(self, row: int, column: str, what: str, kind: str = "") -> None:
        """A fault of a row; rows of one `kind` (by default: of one text) and column are one fault."""
        key = column, kind or what
        if key not in self._kinds:
            self._kinds[key] = Fault("", what, [], self.unit, self.path, column)
            self.found.append(self._kinds[key])
        self._kinds[key].rows.append(row)

    def add_error(self, error: InputError) -> None:
        """What another part stopped with."""
        self.found.append(Fault("", str(error)))

    def hint(self, column: str, kind: str, what: str) -> None:
        """Add a remedy to a fault of rows, if there is one of that column and kind."""
        if fault := self._kinds.get((column, kind)):
            fault.what += f"; {what}"

    @property
    def rows(self) -> set[int]:
        """Every row with a fault of its own."""
        return {row for fault in self.found for row in fault.rows}

    def stop(self) -> None:
        """Stop if there is any fault.

        Raises:
            InputError: the first fault, and the number of others.
        """
        if self.found:
            others = len(self.found) - 1
            more = f" (and {others} other fault{'s' * (others > 1)}: `tmelt check` lists all)" if others else ""
            raise InputError(self.found[0].line() + more)
