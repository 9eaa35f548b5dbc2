"""A melting temperature as tables write it: a number, or a value with a range, a bound or an uncertainty.

| cell | kind | value |
|---|---|---|
| `51.2`, `51.2 °C`, `+5.12e1` | exact | 51.2 |
| `~51`, `ca. 51` | approximate | 51 |
| `51.2 ± 0.4`, `51.2+/-0.4`, `51.2 (0.4)` | uncertain | 51.2 |
| `55-57`, `55 to 57`, `55..57` | ranged | the midpoint, 56 |
| `> 95`, `>=95`, `≤ 40`, `95+` | censored | the bound |

What is done with each kind is the config's `design.data.labels`. Two values in a cell, a reversed range, a unit other
than °C and everything else is a fault.
"""

import math
import re
from typing import Any, NamedTuple

MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "--", "–", "—", "nd", "n.d.", "n.a.", "?"}
DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]+", re.ASCII)
DECIMAL_POINT = re.compile(r"[0-9]\.[0-9]", re.ASCII)

_UNSIGNED = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NUMBER = rf"[+\-−]?{_UNSIGNED}"
_CELSIUS = r"(?:\s*(?:°\s*C|º\s*C|˚\s*C|℃|° ?|deg\.?\s*C|degrees?\s*C(?:elsius)?|C))?"
_OTHER_UNIT = re.compile(rf"({_NUMBER})\s*(?:°\s*)?(K|F|kelvin|fahrenheit)", re.ASCII | re.IGNORECASE)
_FORMS = (
    ("exact", re.compile(rf"({_NUMBER}){_CELSIUS}")),
    ("approximate", re.compile(rf"(?:~|≈|∼|ca\.?|approx\.?|about)\s*({_UNSIGNED}){_CELSIUS}", re.IGNORECASE)),
    ("uncertain", re.compile(rf"({_NUMBER}){_CELSIUS}\s*(?:±|\+/[-−]|\+-)\s*({_UNSIGNED}){_CELSIUS}")),
    ("uncertain", re.compile(rf"({_NUMBER}){_CELSIUS}\s*\(\s*(?:±|\+/[-−])?\s*({_UNSIGNED}){_CELSIUS}\s*\)")),
    ("ranged", re.compile(rf"({_UNSIGNED}){_CELSIUS}\s*(?:-|–|—|−|\.\.+|…|to)\s*({_UNSIGNED}){_CELSIUS}")),
    ("censored", re.compile(rf"(?:>|<|>=|<=|=>|=<|≥|≤|⩾|⩽|＞|＜)\s*({_NUMBER}){_CELSIUS}")),
    ("censored", re.compile(rf"({_UNSIGNED}){_CELSIUS}\s*\+")),
)


class Label(NamedTuple):
    """What a cell says."""

    value: float  # °C; of a range its midpoint, of a bound the bound
    kind: str  # exact, approximate, uncertain, ranged or censored
    width: float = 0.0  # °C, of a range


class LabelError(ValueError):
    """A cell that is no melting temperature; `kind` groups such cells, the text says what is wrong and what to do."""

    def __init__(self, kind: str, what: str):
        super().__init__(what)
        self.kind = kind


def is_missing(cell: Any) -> bool:
    """Whether a cell says that there is no label."""
    if isinstance(cell, str):
        return " ".join(cell.split()).lower() in MISSING
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def parse_label(cell: Any, decimal_comma: bool = False) -> Label | None:
    """The label of a cell; None where it is missing.

    Args:
        cell: text, number or None.
        decimal_comma: a comma between digits is a decimal point.

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
    if other := _OTHER_UNIT.fullmatch(text):
        unit = "Kelvin; subtract 273.15" if other.group(2)[0] in "kK" else "°F; convert it: (°F − 32) / 1.8"
        raise LabelError("unit", f"{shown!r} is in {unit}")
    for kind, form in _FORMS:
        if found := form.fullmatch(text):
            numbers = [_finite(float(number.replace("−", "-")), shown) for number in found.groups()]
            if kind != "ranged":
                return Label(numbers[0], kind)
            low, high = numbers
            if low >= high:
                raise LabelError("range", f"{shown!r} is a range whose ends are reversed or equal; correct it")
            return Label((low + high) / 2, kind, high - low)
    raise LabelError("text", f"{shown!r} is not a number; write the value in °C alone, or leave the cell empty")


def _finite(number: float, shown: Any) -> float:
    if not math.isfinite(number):
        raise LabelError("finite", f"{shown!r} is not a finite number; correct it, or leave the cell empty")
    return number


def has_decimal_commas(cells: list[Any]) -> bool:
    """Whether commas are the decimal sign of a column: some cell has one, and none has a decimal point."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    return any(DECIMAL_COMMA.search(text) for text in texts) and not any(DECIMAL_POINT.search(text) for text in texts)
