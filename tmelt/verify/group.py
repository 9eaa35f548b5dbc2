"""A group of checks with its differences, and the comparison of two values."""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tmelt.errors import InfrastructureError, InputError

# Two floats are the same number if they differ by at most this, relative to the larger one or to 1.
TOLERANCE = 1e-9
KEPT = 1000  # differences of a group that are kept; the others are counted
_SHOWN = 160  # characters of a value in a line
_NUMBER = re.compile(r"(?<![\w.])[-−+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Difference:
    """A stored value that is not the recomputed one."""

    file: str
    row: str
    column: str
    stored: str
    recomputed: str

    def __str__(self) -> str:
        place = " ".join(filter(None, [self.file, f"[{self.row}]" if self.row else "", self.column]))
        return f"{place}: stored {self.stored}, recomputed {self.recomputed}"


@dataclass
class Group:
    """The outcome of checks of one kind.

    Attributes:
        root: the results folder; files are named relative to it.
        checked: values, files or rows that were compared.
        total: differences, of which the first KEPT are in `differences`.
        missing: files without which something cannot be verified.
        notes: what was left out, and why; no fault.
    """

    name: str
    root: Path
    tolerance: float = TOLERANCE
    checked: int = 0
    total: int = 0
    seconds: float = 0.0
    differences: list[Difference] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def differs(self, file: Path | str, row: str, column: str, stored: Any, recomputed: Any) -> None:
        """Record a difference."""
        self.total += 1
        if len(self.differences) < KEPT:
            self.differences.append(Difference(self.named(file), row, column, shown(stored), shown(recomputed)))

    def equal(self, file: Path | str, column: str, stored: Any, recomputed: Any, row: str = "") -> bool:
        """Compare two values, and record the difference if there is one."""
        self.checked += 1
        if same(stored, recomputed, self.tolerance):
            return True
        self.differs(file, row, column, stored, recomputed)
        return False

    def passes(self, check: Callable[[], Any], file: Path | str, column: str) -> Any:
        """The result of `check`; an error of the project's own checks is a difference, and the result is None."""
        self.checked += 1
        try:
            return check()
        except (InputError, InfrastructureError) as error:
            self.differs(file, "", column, self.reason(error), "no error")
            return None

    def reason(self, error: Exception) -> str:
        """An error's words on one line, with files named relative to the results folder."""
        return " ".join(str(error).replace(f"{self.root}/", "").split())

    def present(self, path: Path) -> bool:
        """Return True if the file exists; otherwise note that it is missing."""
        if path.exists():
            return True
        self.missing.append(self.named(path))
        return False

    def named(self, file: Path | str) -> str:
        """The file's name relative to the results folder."""
        path = Path(file)
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(file)

    @contextmanager
    def timed(self) -> Iterator["Group"]:
        """Add the block's seconds to the group's."""
        start = time.monotonic()
        try:
            yield self
        finally:
            self.seconds += time.monotonic() - start

    def as_json(self) -> dict[str, Any]:
        """The group for `--json`."""
        return {
            "name": self.name,
            "checked": self.checked,
            "differences": self.total,
            "seconds": round(self.seconds, 2),
            "listed": [asdict(difference) for difference in self.differences],
            "missing": self.missing,
            "notes": self.notes,
        }


def same(stored: Any, recomputed: Any, tolerance: float = TOLERANCE) -> bool:
    """Compare two values from a table or JSON; floats by the tolerance, NaN equal to NaN."""
    if isinstance(stored, float) and isinstance(recomputed, int | float) and not isinstance(recomputed, bool):
        if math.isnan(stored) or math.isnan(recomputed):
            return math.isnan(stored) and math.isnan(recomputed)
        if math.isinf(stored) or math.isinf(recomputed):
            return stored == recomputed
        return abs(stored - recomputed) <= tolerance * max(1.0, abs(stored), abs(recomputed))
    if isinstance(stored, Mapping) and isinstance(recomputed, Mapping):
        return stored.keys() == recomputed.keys() and all(
            same(stored[key], recomputed[key], tolerance) for key in stored
        )
    if isinstance(stored, list | tuple) and isinstance(recomputed, list | tuple):
        return len(stored) == len(recomputed) and all(
            same(one, other, tolerance) for one, other in zip(stored, recomputed, strict=True)
        )
    return stored == recomputed


def same_text(stored: str, recomputed: str, tolerance: float = TOLERANCE) -> bool:
    """Compare two texts; decimal numbers in them by the tolerance."""
    if stored == recomputed:
        return True
    ours, theirs = _NUMBER.findall(stored), _NUMBER.findall(recomputed)
    if len(ours) != len(theirs) or _NUMBER.sub("", stored) != _NUMBER.sub("", recomputed):
        return False
    return all(
        one == other or same(_value(one), _value(other), tolerance) for one, other in zip(ours, theirs, strict=True)
    )


def _value(number: str) -> float:
    return float(number.replace("−", "-"))


def shown(value: Any) -> str:
    """A value on one short line."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
