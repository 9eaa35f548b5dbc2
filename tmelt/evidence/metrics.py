"""Errors and correlations of predictions, for one run or for many at once."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

ORGANISM_MIN = 8  # proteins below which a rank correlation within an organism says nothing

SCORE_NAMES = ("mae", "rmse", "r2", "spearman", "within_rho", "bias")


def score(predictions: np.ndarray, tm: np.ndarray, organisms: Sequence[str | None]) -> dict[str, np.ndarray]:
    """Scores of each row of predictions.

    Args:
        predictions: (runs, proteins) in target units; a row with a NaN gets NaN scores.
        tm: (proteins,) measured, in target units.
        organisms: (proteins,) names or None; proteins without one take no part in `within_rho`.

    Returns:
        name of SCORE_NAMES: (runs,) values; NaN where a score is undefined (e.g. constant predictions).
    """
    predictions = np.atleast_2d(np.asarray(predictions, dtype=float))  # (R, n)
    runs, proteins = predictions.shape
    if proteins == 0:
        return {name: np.full(runs, np.nan) for name in SCORE_NAMES}
    error = predictions - tm
    squared = (error**2).mean(axis=1)
    variance = tm.var()
    return {
        "mae": np.abs(error).mean(axis=1),
        "rmse": np.sqrt(squared),
        "r2": 1 - squared / variance if variance > 0 else np.full(runs, np.nan),
        "spearman": rank_correlation(predictions, tm),
        "within_rho": within_organism_correlation(predictions, tm, organisms),
        "bias": error.mean(axis=1),
    }


def rank_correlation(predictions: np.ndarray, tm: np.ndarray) -> np.ndarray:
    """Spearman's ρ of each row (runs, proteins) with `tm` (proteins,); average ranks for ties; NaN if constant."""
    predictions = np.atleast_2d(predictions)
    if predictions.shape[1] < 2:
        return np.full(len(predictions), np.nan)
    ranks = rankdata(predictions, axis=1, nan_policy="propagate")
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    measured = rankdata(tm)
    measured = measured - measured.mean()
    scale = np.sqrt((ranks**2).sum(axis=1) * (measured**2).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, ranks @ measured / scale, np.nan)


def within_organism_correlation(
    predictions: np.ndarray, tm: np.ndarray, organisms: Sequence[str | None], least: int = ORGANISM_MIN
) -> np.ndarray:
    """Mean of Spearman's ρ within each organism of at least `least` proteins, weighted by its number of proteins.

    Predictions that are constant within an organism rank nothing there and count as 0: a model that has only learned
    the organism must not look good by having its organisms left out.
    """
    predictions = np.atleast_2d(predictions)
    names = np.array([name if name is not None else "" for name in organisms], dtype=object)
    total, weight = np.zeros(len(predictions)), 0
    for name in sorted(set(names) - {""}):
        inside = np.flatnonzero(names == name)
        if len(inside) < least or np.ptp(tm[inside]) == 0:
            continue
        part = predictions[:, inside]
        rho = rank_correlation(part, tm[inside])
        constant = np.ptp(part, axis=1) == 0
        total += len(inside) * np.where(constant, 0.0, rho)
        weight += len(inside)
    return total / weight if weight else np.full(len(predictions), np.nan)


def none_if_nan(value: float) -> float | None:
    """A Python float for a table; None for NaN."""
    return None if value != value else float(value)
