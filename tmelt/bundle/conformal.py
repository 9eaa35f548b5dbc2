"""Intervals around a prediction, by split conformal prediction on the proteins of select.

If new proteins were drawn like the proteins of select, the interval would hold the measured value of a share `level`
of them at least.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tmelt.errors import InputError
from tmelt.evidence.conformal import conformal_radius

LEVELS = (0.5, 0.8, 0.9, 0.95)  # that a card shows; `predict` takes any


def half_width(residuals: Sequence[float], level: float) -> float:
    """Half the width in °C of the interval (`conformal_radius`).

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
        residuals: absolute residuals on select in °C.
        errors: absolute errors on test in °C, (proteins,).
    """
    rows = []
    for level in LEVELS:
        try:
            half = half_width(residuals, level)
        except InputError:
            continue
        rows.append({"level": level, "half_width": half, "test_coverage": float((errors <= half).mean())})
    return rows
