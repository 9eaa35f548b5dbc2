"""Compare a stored table with the recomputed one, cell by cell, in slices of bounded size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tmelt.errors import InputError
from tmelt.storage.schema import read_table
from tmelt.verify.group import Group, same

SLICE = 100_000  # rows at a time
_KEY_COLUMNS = 4  # shown to name a row


def compare_tables(group: Group, stored: Path, recomputed: Path) -> None:
    """Record every cell of `stored` that is not the recomputed one; rows are compared in their order.

    Where the numbers of rows differ, rows are matched by their columns of names and integers, and the rows that only
    one table has are recorded.
    """
    try:
        ours, theirs = _schema(stored), _schema(recomputed)
    except InputError as error:
        group.checked += 1
        group.differs(stored, "", "file", str(error), "a readable table")
        return
    if not group.equal(stored, "columns", ours, theirs):
        return
    scans = [pl.scan_parquet(path, hive_partitioning=False) for path in (stored, recomputed)]
    heights = [scan.select(pl.len()).collect().item() for scan in scans]
    if group.equal(stored, "number of rows", *heights):
        for start in range(0, heights[0], SLICE):
            _compare(group, stored, *(scan.slice(start, SLICE).collect() for scan in scans))
        return
    one, other = read_table(stored), read_table(recomputed)
    keys = _keys(one)
    if not keys or one.select(keys).is_duplicated().any() or other.select(keys).is_duplicated().any():
        return
    for rows, where, said in ((one, other, ("present", "absent")), (other, one, ("absent", "present"))):
        for row in rows.join(where, on=keys, how="anti", nulls_equal=True).iter_rows(named=True):
            group.differs(stored, _named(row, keys), "row", *said)
    both = [
        rows.join(where.select(keys), on=keys, how="semi", nulls_equal=True).sort(keys)
        for rows, where in ((one, other), (other, one))
    ]
    _compare(group, stored, *both)


def _compare(group: Group, file: Path, stored: pl.DataFrame, recomputed: pl.DataFrame) -> None:
    """Compare two frames of the same height and columns."""
    keys = _keys(stored)
    for name in stored.columns:
        one, other = stored[name], recomputed[name]
        group.checked += len(one)
        if one.equals(other, check_dtypes=True, null_equal=True):
            continue
        for place in _suspects(one, other, group.tolerance):
            if not same(one[place], other[place], group.tolerance):
                row = stored.row(place, named=True)
                group.differs(file, _named(row, [key for key in keys if key != name]), name, row[name], other[place])


def _suspects(one: pl.Series, other: pl.Series, tolerance: float) -> Sequence[int]:
    """Positions at which two columns may differ."""
    if one.dtype != other.dtype or one.dtype.is_nested():
        return range(len(one))
    if one.dtype.is_float():
        frame = pl.DataFrame({"one": one, "other": other})
        larger = pl.max_horizontal(pl.lit(1.0), pl.col("one").abs(), pl.col("other").abs())
        near = (pl.col("one") - pl.col("other")).abs() <= tolerance * larger
        unequal = ~(near.fill_null(False) | pl.col("one").eq_missing(pl.col("other")))
        return frame.select(unequal.arg_true()).to_series().to_list()
    return one.ne_missing(other).arg_true().to_list()


def _schema(path: Path) -> list[str]:
    """Names and types of a table's columns."""
    try:
        return [f"{name}: {kind}" for name, kind in pl.read_parquet_schema(path).items()]
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _keys(frame: pl.DataFrame) -> list[str]:
    """Columns that tell rows apart: names, integers and truth values."""
    return [name for name, kind in frame.schema.items() if not (kind.is_float() or kind.is_nested())]


def _named(row: dict[str, Any], keys: Sequence[str]) -> str:
    """The first columns that have a value, as the row's name."""
    known = [f"{key}={row[key]}" for key in keys if row[key] is not None]
    return " ".join(known[:_KEY_COLUMNS])
