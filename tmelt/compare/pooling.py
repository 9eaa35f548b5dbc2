"""What several data sets say together about strategies: mean differences, ranks, interquartile means.

The data sets are a sample of those on which one may want to search, so the true difference of two strategies may vary
between them, and the data set is the unit of evidence. With one mean difference per data set the mixed model with data
set and search as random effects is the one-sample t test of these differences, exactly where studies are of equal size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
_UPPER = (1 + LEVEL) / 2
_RESAMPLES, _PERMUTATIONS = 4_000, 20_000


@dataclass(frozen=True)
class Pooled:
    """A difference over data sets.

    Attributes:
        difference: mean over data sets, each with equal weight, in the unit of the values.
        low, high: its 95 % interval; None with one data set.
        between_sd: standard deviation of the true difference between data sets; 0 where the spread is no larger than
            the differences' own errors make it, None with one data set.
        p_value: two-sided, of no mean difference; None with one data set.
        datasets: how many there are.
    """

    difference: float
    low: float | None
    high: float | None
    between_sd: float | None
    p_value: float | None
    datasets: int


def pooled(differences: Sequence[float], errors: Sequence[float]) -> Pooled:
    """Mean difference over data sets by Student's t, never more certain than the data sets' own errors allow.

    Args:
        differences: (data sets,) one estimate each.
        errors: (data sets,) their standard errors, from `tmelt.evidence.error_model`.
    """
    values, variances = np.asarray(differences, float), np.asarray(errors, float) ** 2
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return Pooled(mean, None, None, None, None, count)
    spread, own = float(values.var(ddof=1)), float(variances.mean())
    by_spread, by_errors = np.sqrt(spread / count), np.sqrt(own / count)
    # By chance differences agree better than their errors allow: two within 0.01 °C would be "significant". The wider
    # of both intervals holds where either would.
    half = max(by_spread * stats.t.ppf(_UPPER, count - 1), by_errors * stats.norm.ppf(_UPPER))
    p_values = [
        2 * tail(abs(mean) / error)
        for tail, error in ((lambda x: stats.t.sf(x, count - 1), by_spread), (stats.norm.sf, by_errors))
        if error > 0
    ]
    p = float(max(p_values, default=mean == 0))
    return Pooled(mean, float(mean - half), float(mean + half), float(np.sqrt(max(0.0, spread - own))), p, count)


def ranks(scores: np.ndarray) -> np.ndarray:
    """(data sets, strategies) ranks of errors, 1 for the lowest; equal errors share the mean of their ranks."""
    return stats.rankdata(scores, axis=1)


def ranks_differ(placed: np.ndarray, rng: np.random.Generator) -> float | None:
    """p of Friedman's (1937) test that no strategy ranks systematically higher; None with one data set.

    By permutation within data sets, since the chi-square approximation needs more data sets than people have.

    Args:
        placed: (data sets, strategies) ranks.
    """
    if len(placed) < 2:
        return None
    observed = float((placed.mean(axis=0) ** 2).sum())
    mixed = rng.permuted(np.broadcast_to(placed, (_PERMUTATIONS, *placed.shape)), axis=2)
    extreme = int(((mixed.mean(axis=1) ** 2).sum(axis=1) >= observed - 1e-9).sum())
    return (extreme + 1) / (_PERMUTATIONS + 1)


def interquartile_mean(
    searches: Mapping[str, np.ndarray], rng: np.random.Generator
) -> tuple[float, float | None, float | None]:
    """Mean of the middle half of all searches, each data set with equal weight, and its 95 % bootstrap interval.

    Agarwal et al. (2021): less moved by one lucky search than a mean, more exact than a median. The bootstrap draws
    searches within each data set; the interval is about further searches on these data sets.

    Args:
        searches: by data set (distinct searches,) scores.

    Returns:
        (value, low, high); no interval where a data set has one distinct search.
    """
    groups = list(searches.values())
    value = _middle(groups)
    if min(map(len, groups)) < 2:
        return float(value), None, None
    # Drawing n of n searches makes their spread too small by (n - 1) / n, which matters with three of them.
    drawn = []
    for group in groups:
        sample = rng.choice(group, (_RESAMPLES, len(group)))
        drawn.append(group.mean() + (sample - group.mean()) * np.sqrt(len(group) / (len(group) - 1)))
    low, high = np.quantile(_middle(drawn), [1 - _UPPER, _UPPER])
    # A bootstrap knows no degrees of freedom: without this factor 90 % of intervals hold with 2 × 3 searches.
    freedom = sum(len(group) - 1 for group in groups)
    factor = float(stats.t.ppf(_UPPER, freedom) / stats.norm.ppf(_UPPER))
    return float(value), float(value + factor * (low - value)), float(value + factor * (high - value))


def _middle(groups: Sequence[np.ndarray]) -> np.ndarray:
    """(...,) weighted means between the quartiles of groups (..., searches); each group has weight 1 in all."""
    values = np.concatenate(groups, axis=-1)
    weights = np.concatenate([np.full(group.shape[-1], 1 / group.shape[-1] / len(groups)) for group in groups])
    order = np.argsort(values, axis=-1, kind="stable")
    values, weights = np.take_along_axis(values, order, axis=-1), weights[order]
    ends = np.cumsum(weights, axis=-1)
    inside = np.clip(np.minimum(ends, 0.75) - np.maximum(ends - weights, 0.25), 0, None)
    return (inside * values).sum(axis=-1) / inside.sum(axis=-1)
