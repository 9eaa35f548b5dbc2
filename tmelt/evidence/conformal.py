"""Intervals around a prediction, by the errors on proteins held out (split conformal prediction).

Vovk, Gammerman and Shafer 2005; Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018, "Distribution-free predictive
inference for regression".
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tmelt.errors import InputError

LEVELS = (0.5, 0.8, 0.9, 0.95)  # that tables and cards show


def conformal_radius(residuals: np.ndarray, level: float) -> float:
    """Half width of an interval that holds a further protein with at least this probability.

    The ⌈(n + 1)·level⌉-th smallest of the absolute residuals: exact in finite samples where the further protein is
    exchangeable with those of the residuals, and at most 1 / (n + 1) too cautious where no two of them are equal.

    Args:
        residuals: (n,) prediction minus measurement, (or scores of another unit), of proteins never trained on.
        level: e.g. 0.9.

    Returns:
        The radius in the residuals' unit; infinite where n is too small for the level.

    Raises:
        ValueError: a level outside 0–1, or a residual that is not finite.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level}: not between 0 and 1")
    scores = np.sort(np.abs(np.asarray(residuals, dtype=float).ravel()))
    if not np.isfinite(scores).all():
        raise ValueError("a residual is not finite")
    # A product like 20 × 0.95 = 19.000000000000004 must not ask for one more.
    rank = math.ceil(round((len(scores) + 1) * level, 9))
    return float(scores[rank - 1]) if rank <= len(scores) else math.inf


def half_width(residuals: Sequence[float], level: float) -> float:
    """Half the width in target units of the interval (`conformal_radius`).

    Raises:
        InputError: no level, or one that so few proteins cannot give.
    """
    if not 0 < level < 1:
        raise InputError(f"level: {level:g}: a number between 0 and 1, for example 0.9")
    half = conformal_radius(np.asarray(residuals, dtype=float), level)
    if math.isinf(half):
        count = len(residuals)
        needed, most = math.ceil(level / (1 - level) - 1e-9), math.floor(1000 * count / (count + 1)) / 1000
        raise InputError(f"level: {level:g} needs {needed} proteins of select, and there are {count}: at most {most:g}")
    return half


def measured_coverage(residuals: Sequence[float], errors: np.ndarray) -> list[dict[str, Any]]:
    """How the intervals fared on test, per level of LEVELS that the proteins of select can give.

    Args:
        residuals: absolute residuals on select in target units.
        errors: absolute errors on test in target units, (proteins,).
    """
    rows = []
    for level in LEVELS:
        try:
            half = half_width(residuals, level)
        except InputError:
            continue
        rows.append({"level": level, "half_width": half, "test_coverage": float((errors <= half).mean())})
    return rows
