"""Intervals, tests and power with the search as the unit of replication.

Two things vary: which proteins were measured (resampled by cluster, because relatives are no independent evidence)
and how a search happens to run (resampled by trajectory). All strategies predict the same proteins, so clusters are
resampled once for all of them: differences are paired over proteins.

A plain bootstrap of T values is too narrow for small T: intervals are widened as Student's t is against the normal
distribution (see `_bootstrap`). Their coverage is checked against simulated searches in the tests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tmelt.files import sha256_text

LEVEL = 0.95
DRAWS = 4000
FEW = 5  # searches per strategy below which nothing is said about which strategy is better
_SPLITS = 50_000
_TAIL = (1 - LEVEL) / 2
_Z = stats.norm.ppf(1 - _TAIL)


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; ends are None where no interval can be had."""

    estimate: float
    low: float | None
    high: float | None
    freedom: float | None = None  # of the Student's t that the ends come from; None: the normal distribution

    def quantile(self, share: float) -> float:
        """In standard errors, where this share of the estimate's distribution lies below."""
        return float(stats.norm.ppf(share) if self.freedom is None else stats.t.ppf(share, self.freedom))


def generator(*names: object) -> np.random.Generator:
    """A random generator that depends on names alone, so that tables come out the same every time."""
    return np.random.default_rng(int(sha256_text("/".join(map(str, names)))[:16], 16))


def cluster_counts(clusters: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """How often each protein's cluster is drawn when as many clusters as there are are drawn with replacement.

    Args:
        clusters: (proteins,) cluster names.

    Returns:
        (draws, clusters) counts, in the order of `np.unique(clusters)`.
    """
    count = len(np.unique(clusters))
    return _draw_with_replacement(count, rng, draws)


def _draw_with_replacement(count: int, rng: np.random.Generator, draws: int) -> np.ndarray:
    """How often each of `count` things comes up in `count` draws, (draws, count)."""
    chosen = rng.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * count).reshape(draws, count)


def cluster_means(values: np.ndarray, clusters: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means over proteins in each draw of clusters.

    Args:
        values: (k, proteins), e.g. absolute errors of k runs.
        clusters: (proteins,) cluster names.
        counts: (draws, clusters) from `cluster_counts`.

    Returns:
        (draws, k).
    """
    _, index = np.unique(clusters, return_inverse=True)
    size = np.bincount(index, minlength=counts.shape[1]).astype(float)
    sums = np.stack([np.bincount(index, weights=row, minlength=counts.shape[1]) for row in np.atleast_2d(values)])
    return (counts @ sums.T) / (counts @ size)[:, None]


def replicate_deviations(means: np.ndarray, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """How far a mean of resampled replicates lies from their mean, (draws,).

    Scaled by sqrt(T / (T − 1)), since resampling T values shows only (T − 1) / T of their variance. With one
    replicate nothing is known about the spread, and the deviations are 0.
    """
    count = len(means)
    if count == 1:
        return np.zeros(draws)
    shares = _draw_with_replacement(count, rng, draws) / count
    return (shares - 1 / count) @ means * math.sqrt(count / (count - 1))


def mean_interval(errors: np.ndarray, clusters: np.ndarray, rng: np.random.Generator) -> Interval:
    """Interval of a mean absolute error over replicates (searches, or fresh seeds of one winner) and proteins.

    Args:
        errors: (replicates, proteins) absolute errors in °C, the same proteins in every row.
        clusters: (proteins,) cluster names.
    """
    errors = np.atleast_2d(errors)
    return _bootstrap(float(errors.mean()), errors.mean(axis=0), [errors.mean(axis=1)], clusters, rng)


def difference_interval(a: np.ndarray, b: np.ndarray, clusters: np.ndarray, rng: np.random.Generator) -> Interval:
    """Interval of the difference of two mean absolute errors on the same proteins, with independent replicates.

    Args:
        a: (replicates of a, proteins) absolute errors in °C.
        b: (replicates of b, proteins).
        clusters: (proteins,) cluster names.
    """
    a, b = np.atleast_2d(a), np.atleast_2d(b)
    by_protein = a.mean(axis=0) - b.mean(axis=0)
    return _bootstrap(float(by_protein.mean()), by_protein, [a.mean(axis=1), b.mean(axis=1)], clusters, rng)


def _bootstrap(
    estimate: float,
    by_protein: np.ndarray,
    groups: Sequence[np.ndarray],
    clusters: np.ndarray,
    rng: np.random.Generator,
) -> Interval:
    """Percentile interval of an estimate that varies with the proteins and with each group of replicates.

    The deviations of the three resamplings add up, and are scaled by t(f) / z with Welch and Satterthwaite's degrees of
    freedom f of the whole: where few searches dominate the uncertainty the interval is that of Student's t.
    """
    count = len(np.unique(clusters))
    if count < 2:
        return Interval(estimate, None, None)
    draws = cluster_means(by_protein, clusters, cluster_counts(clusters, rng))[:, 0] - estimate
    parts = [(float(draws.var()), count - 1)]
    for means in groups:
        draws = draws + replicate_deviations(means, rng)
        if len(means) > 1:
            parts.append((float(means.var(ddof=1)) / len(means), len(means) - 1))
    freedom = _freedom(parts)
    widen = 1.0 if freedom is None else stats.t.ppf(1 - _TAIL, freedom) / _Z
    low, high = np.quantile(draws * widen, [_TAIL, 1 - _TAIL])
    return Interval(estimate, estimate + float(low), estimate + float(high), freedom)


def paired_interval(differences: np.ndarray, clusters: np.ndarray, rng: np.random.Generator) -> Interval:
    """Interval of a mean difference whose replicates are pairs (same seed with and without a change).

    Args:
        differences: (pairs, proteins) differences of absolute errors in °C.
    """
    return mean_interval(differences, clusters, rng)


def welch_interval(a: np.ndarray, b: np.ndarray) -> Interval:
    """Welch's interval of a difference of means, one number per search; no ends with fewer than two searches each."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    estimate = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2:
        return Interval(estimate, None, None)
    parts = [(float(x.var(ddof=1)) / len(x), len(x) - 1) for x in (a, b)]
    half = math.sqrt(sum(variance for variance, _ in parts)) * stats.t.ppf(1 - _TAIL, _freedom(parts) or 1)
    return Interval(estimate, estimate - half, estimate + half)


def _freedom(parts: Sequence[tuple[float, int]]) -> float | None:
    """Welch and Satterthwaite's degrees of freedom of a sum of variances (variance, freedom); None if all are 0."""
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return None
    return max(1.0, total**2 / sum(variance**2 / freedom for variance, freedom in parts))


def probability_of_improvement(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Share of pairs of searches in which a is better (lower) than b, ties half, with Wilson's interval.

    The pairs are not independent; the interval counts only the smaller number of searches (Agarwal et al. 2021 use
    the same measure, "Deep RL at the edge of the statistical precipice").
    """
    left, right = np.asarray(a, float)[:, None], np.asarray(b, float)[None, :]
    share = float(((left < right) + 0.5 * (left == right)).mean())
    n = min(len(a), len(b))
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return share, max(0.0, centre - half), min(1.0, centre + half)
