"""Numbers and names as people read them; a missing value is a dash, never a zero."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tmelt.evidence.comparison import SAME

DASH = "–"


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """A number with a real minus sign."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")


def interval(low: float | None, high: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """`low to high`, or nothing where there is no interval."""
    if low is None or high is None:
        return ""
    return f"{number(low, digits, signed=signed)} to {number(high, digits, signed=signed)}"


def percent(share: float | None) -> str:
    """A share as whole percent; never minus zero."""
    return DASH if share is None else f"{number(100 * share, 0)} %"


def p_text(p: float | None) -> str:
    """A p value to two digits."""
    return DASH if p is None else f"{p:.2g}"


def difference(row: Mapping[str, Any]) -> str:
    """The difference of a row of `comparison`, or that both sides are one candidate."""
    return "same candidate" if row["note"] == SAME else number(row["difference"], signed=True)


def dollars(value: float | None) -> str:
    """USD with as many digits as matter."""
    if value is None:
        return "unknown"
    if value == 0:
        return "$0"
    if abs(value) < 1e-4:
        return "< $0.0001"
    return f"${value:.2f}" if value >= 0.1 else f"${value:.2g}"


def seconds(value: float | None) -> str:
    """A duration."""
    if value is None:
        return DASH
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def capital(text: str) -> str:
    """The text with a capital letter at its beginning, the others as they are."""
    return text[:1].upper() + text[1:]


def count(value: int, noun: str, plural: str | None = None) -> str:
    """`1 trial`, `2 trials`."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def counts(values: Iterable[int], noun: str) -> str:
    """`2 seeds` where all values are 2, else `1 to 2 seeds`."""
    known = sorted(set(values)) or [0]
    return count(known[-1], noun) if len(known) == 1 else f"{known[0]:,} to {count(known[-1], noun)}"


def listing(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def value(item: Any) -> str:
    """A knob's value."""
    if item is None:
        return DASH
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, float):
        return f"{item:.3g}".replace("-", "−")
    return str(item)


def search_name(row: Mapping[str, Any]) -> str:
    """Which search a row is about: `ra · search 0`."""
    return f"{row['strategy']} · search {row['trajectory']}"


def trial_name(row: Mapping[str, Any]) -> str:
    """Which trial a row is about: `ra · search 0, trial 3`."""
    return f"{search_name(row)}, trial {row['iteration']}"


def tidied(text: str) -> str:
    """The text with long decimal numbers to three digits: 2.4345205758653554 as 2.43."""
    return re.sub(r"(?<![\w.])\d+\.\d{4,}(?:e-?\d+)?(?![\w.])", lambda found: f"{float(found[0]):.3g}", text)


def shortened(text: str | None, length: int) -> str:
    """At most `length` characters, on one line."""
    words = " ".join((text or "").split())
    return words if len(words) <= length else words[: length - 1] + "…"


def pair_text(change: str, length: int) -> str:
    """A pair of `interactions`, each side with at most `length` characters."""
    return " × ".join(shortened(tidied(side), length) for side in change.split(" × "))


def anchor(strategy: str, trajectory: int, iteration: int) -> str:
    """The id of a trial's section on the page."""
    return f"trial-{re.sub(r'[^A-Za-z0-9_]', '-', strategy)}-t{int(trajectory)}-i{int(iteration)}"
