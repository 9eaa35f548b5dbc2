"""How wide an interval around a prediction must be, by the errors on proteins held out (split conformal prediction).

Vovk, Gammerman and Shafer 2005; Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018, "Distribution-free predictive
inference for regression".
"""

import math

import numpy as np


def conformal_radius(residuals: np.ndarray, level: float) -> float:
    """Half width of an interval that holds a further protein with at least this probability.

    The ⌈(n + 1)·level⌉-th smallest of the absolute residuals: exact in finite samples where the further protein is
    exchangeable with those of the residuals, and at most 1 / (n + 1) too cautious where no two of them are equal.

    Args:
        residuals: (n,) prediction minus measurement, in °C (or scores of another unit), of proteins never trained on.
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
