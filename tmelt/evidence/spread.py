"""Spread between the searches of a strategy, and a test of whether the strategies' spreads differ."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats

from tmelt.evidence.schema import SPREAD
from tmelt.evidence.tables import table

LEAST = 3  # distinct searches below which a strategy is not tested


def spread(won: pl.DataFrame) -> pl.DataFrame:
    """The table `spread`, from `winners`: searches that share an outcome are one observation."""
    known = won.drop_nulls("test_mae")
    errors, searches = {}, {}
    for (name,), part in known.group_by("strategy", maintain_order=True):
        errors[name] = part.unique("outcome", maintain_order=True)["test_mae"].to_numpy()
        searches[name] = len(part)
    tested = [values for values in errors.values() if len(values) >= LEAST]
    p_value = equal_spread(tested)
    rows = [
        {
            "strategy": name,
            "searches": searches[name],
            "distinct": len(values),
            "test_sd": float(values.std(ddof=1)) if len(values) > 1 else None,
            "lowest": float(values.min()),
            "highest": float(values.max()),
            "p_value": p_value if len(values) >= LEAST else None,
            "note": None if len(values) >= LEAST else f"fewer than {LEAST} distinct searches: not tested",
        }
        for name, values in errors.items()
    ]
    return table(rows, SPREAD)


def equal_spread(groups: Sequence[np.ndarray]) -> float | None:
    """p of the hypothesis that all groups have one variance (Brown & Forsythe 1974: Levene's test about the median).

    Args:
        groups: per strategy the errors of its distinct searches, at least LEAST each.

    Returns:
        None with fewer than two groups, or if none of them varies.
    """
    if len(groups) < 2 or not any(np.ptp(group) > 0 for group in groups):
        return None
    p = float(stats.levene(*groups, center="median").pvalue)
    return p if p == p else None
