"""Rows that are not read: those outside `design.data.where`, and repeated rows of one melting curve."""

import re
from typing import Any

from tmelt.proteins.columns import CURVE, Found, likely, plain
from tmelt.proteins.label import LabelError, parse_label
from tmelt.proteins.table import Table
from tmelt.study.config import Data, is_range

CURVE_ROW = "further point of a melting curve"


def rows_set_aside(table: Table, data: Data, found: Found) -> dict[int, tuple[str, str]]:
    """Positions of the rows that are not read, with the reason and what the cell says."""
    aside: dict[int, tuple[str, str]] = {}
    for name, allowed in data.where.items():
        if name not in table.columns:
            continue  # find_columns has said so
        column = table.columns.index(name)
        for at, (_, cells) in enumerate(table.rows):
            if at not in aside and not _allowed(cells[column], allowed):
                aside[at] = f"{name} outside design.data.where", str(cells[column] or "")[:60]
    for at in _curve_points(table, found):
        aside.setdefault(at, (CURVE_ROW, ""))
    return aside


def _allowed(cell: Any, allowed: Any) -> bool:
    """Whether a cell is in the range, or is one of the values; a missing cell never is."""
    text = "" if cell is None else str(cell).strip()
    number = number_in(text)
    if is_range(allowed):
        return number is not None and bool(allowed[0] <= number <= allowed[1])
    for value in allowed if isinstance(allowed, list) else [allowed]:
        if isinstance(value, str | bool):
            if text.casefold() == str(value).strip().casefold():
                return True
        elif number is not None and number == value:
            return True
    return False


def number_in(text: str) -> float | None:
    """The number of a cell such as `7.4`, `pH 7.4`, `7-8` (its midpoint) or `~7`; None for other text and bounds."""
    try:
        label = parse_label(re.sub(r"^\s*ph\b\s*[=:]?\s*", "", text, flags=re.IGNORECASE), decimal_comma=True)
    except LabelError:
        return None
    return label.value if label is not None and label.kind != "censored" else None


def _curve_points(table: Table, found: Found) -> list[int]:
    """Rows after the first of each melting curve, where the table has a row for each of its temperatures.

    A curve is what a protein has in one run with one melting point: the rows of it are one measurement.
    """
    curve = [name for name in table.columns if plain(name) in CURVE and name not in found.names.values()]
    if len(curve) < 2 or "tm" not in found.at:
        return []
    fixed = [
        at for key in ("protein_id", "sequence", "organism", "mutation", "tm") if (at := found.at.get(key)) is not None
    ]
    fixed += [table.columns.index(name) for name in found.conditions]
    if not likely(table.columns, "protein_id") and "sequence" not in found.at:
        return []
    seen: set[tuple[Any, ...]] = set()
    repeated = []
    for at, (_, cells) in enumerate(table.rows):
        key = tuple(cells[place] for place in fixed)
        if key in seen:
            repeated.append(at)
        seen.add(key)
    return repeated
