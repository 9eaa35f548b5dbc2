"""A label as tables write it: a number, or a value with a range, a bound or an uncertainty.

| cell | kind | value |
|---|---|---|
| `51.2`, `51.2 °C`, `+5.12e1` | exact | 51.2 |
| `~51`, `ca. 51` | approximate | 51 |
| `51.2 ± 0.4`, `51.2+/-0.4`, `51.2 (0.4)` | uncertain | 51.2 |
| `55-57`, `55 to 57`, `55..57` | ranged | the midpoint, 56 |
| `> 95`, `>=95`, `≤ 40`, `95+` | censored | the bound |

What is done with each kind is the config's `design.data.labels`. Two values in a cell, a reversed range, a unit other
than the target's and everything else is a fault.
"""

import math
import re
from functools import cache
from typing import Any, NamedTuple

from tmelt.study.target import TM

MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "--", "–", "—", "nd", "n.d.", "n.a.", "?"}
DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]+", re.ASCII)
DECIMAL_POINT = re.compile(r"[0-9]\.[0-9]", re.ASCII)

_UNSIGNED = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NUMBER = rf"[+\-−]?{_UNSIGNED}"
_CELSIUS = r"(?:\s*(?:°\s*C|º\s*C|˚\s*C|℃|° ?|deg\.?\s*C|degrees?\s*C(?:elsius)?|C))?"
_OTHER_UNIT = re.compile(rf"({_NUMBER})\s*(?:°\s*)?(K|F|kelvin|fahrenheit)", re.ASCII | re.IGNORECASE)


@cache
def _forms(unit: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Kinds of cells and their forms, with or without the unit behind each number."""
    behind = _CELSIUS if unit == TM.unit else rf"(?:\s*{re.escape(unit)})?"
    return (
        ("exact", re.compile(rf"({_NUMBER}){behind}")),
        ("approximate", re.compile(rf"(?:~|≈|∼|ca\.?|approx\.?|about)\s*({_UNSIGNED}){behind}", re.IGNORECASE)),
        ("uncertain", re.compile(rf"({_NUMBER}){behind}\s*(?:±|\+/[-−]|\+-)\s*({_UNSIGNED}){behind}")),
        ("uncertain", re.compile(rf"({_NUMBER}){behind}\s*\(\s*(?:±|\+/[-−])?\s*({_UNSIGNED}){behind}\s*\)")),
        ("ranged", re.compile(rf"({_UNSIGNED}){behind}\s*(?:-|–|—|−|\.\.+|…|to)\s*({_UNSIGNED}){behind}")),
        ("censored", re.compile(rf"(?:>|<|>=|<=|=>|=<|≥|≤|⩾|⩽|＞|＜)\s*({_NUMBER}){behind}")),
        ("censored", re.compile(rf"({_UNSIGNED}){behind}\s*\+")),
    )


class Label(NamedTuple):
    """What a cell says."""

    value: float  # in the target's unit; of a range its midpoint, of a bound the bound
    kind: str  # exact, approximate, uncertain, ranged or censored
    width: float = 0.0  # of a range, in the same unit


class LabelError(ValueError):
    """A cell that is no label; `kind` groups such cells, the text says what is wrong and what to do."""

    def __init__(self, kind: str, what: str):
        super().__init__(what)
        self.kind = kind


def is_missing(cell: Any) -> bool:
    """Whether a cell says that there is no label."""
    if isinstance(cell, str):
        return " ".join(cell.split()).lower() in MISSING
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def parse_label(cell: Any, decimal_comma: bool = False, unit: str = TM.unit) -> Label | None:
    """The label of a cell; None where it is missing.

    Args:
        cell: text, number or None.
        decimal_comma: a comma between digits is a decimal point.
        unit: of the target, which may stand behind a number.

    Raises:
        LabelError: anything else.
    """
    if is_missing(cell):
        return None
    if isinstance(cell, bool) or (not isinstance(cell, str | int | float) and not hasattr(cell, "__float__")):
        raise LabelError("type", f"holds a {type(cell).__name__} instead of a number")
    if not isinstance(cell, str):
        return None if math.isnan(float(cell)) else Label(_finite(float(cell), cell), "exact")
    text = " ".join(cell.split())
    shown = text[:40]
    if DECIMAL_COMMA.search(text):
        if not decimal_comma:
            remedy = DECIMAL_COMMA.sub(lambda found: found.group().replace(",", "."), shown)
            raise LabelError("comma", f"{shown!r} has a decimal comma, other cells a decimal point; write {remedy}")
        text = DECIMAL_COMMA.sub(lambda found: found.group().replace(",", "."), text)
    if unit == TM.unit and (other := _OTHER_UNIT.fullmatch(text)):
        told = "Kelvin; subtract 273.15" if other.group(2)[0] in "kK" else "°F; convert it: (°F − 32) / 1.8"
        raise LabelError("unit", f"{shown!r} is in {told}")
    for kind, form in _forms(unit):
        if found := form.fullmatch(text):
            numbers = [_finite(float(number.replace("−", "-")), shown) for number in found.groups()]
            if kind != "ranged":
                return Label(numbers[0], kind)
            low, high = numbers
            if low >= high:
                raise LabelError("range", f"{shown!r} is a range whose ends are reversed or equal; correct it")
            return Label((low + high) / 2, kind, high - low)
    alone = f"the value in {unit} alone" if unit else "the value alone"
    raise LabelError("text", f"{shown!r} is not a number; write {alone}, or leave the cell empty")


def _finite(number: float, shown: Any) -> float:
    if not math.isfinite(number):
        raise LabelError("finite", f"{shown!r} is not a finite number; correct it, or leave the cell empty")
    return number


def has_decimal_commas(cells: list[Any]) -> bool:
    """Whether commas are the decimal sign of a column: some cell has one, and none has a decimal point."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    return any(DECIMAL_COMMA.search(text) for text in texts) and not any(DECIMAL_POINT.search(text) for text in texts)
