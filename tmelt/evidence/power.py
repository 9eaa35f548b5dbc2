"""Power of the decision rule itself, by simulating tmelt.evidence.verdict with the error model's own variances.

A simulated study has strategies with n searches each, of which the first has a lower mean error than all others. The
winner of a search differs from its strategy's mean by a normal deviation, each fresh seed adds one more (what a seed
does to all candidates alike cancels in a difference), and a difference of two strategies has an error from the choice
of test proteins. The p of each pair is the larger of the error model's (its interval from the same parts as
`tmelt.evidence.error_model.estimate`) and the permutation test's: exact up to 7 searches of each side, from there on
by Pitman's (1937) beta distribution with the same moments, but never below the least p that is possible.

Contrasts with the baseline and the reference predictors count in the family and are taken as not established, which
makes the power of a pair slightly too low rather than too high.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.special import betainc, stdtrit

from tmelt.evidence.looks import planned_levels
from tmelt.evidence.permutation import exact_p, least_p
from tmelt.evidence.statistics import generator
from tmelt.evidence.verdict import ALPHA, FEW, PRIMARY

DRAWS = 2000
MOST = 100  # searches per strategy that are tried
_EXACT = 7  # searches of each side up to which the permutation test is exact
_GRID = np.linspace(1e-4, 1.0, 1500)  # of one over the degrees of freedom


@dataclass(frozen=True)
class Noise:
    """What varies, as standard deviations in target units.

    Attributes:
        search: between the winners of one strategy's searches.
        seed: of one winner between training seeds, without what a seed does to all candidates alike.
        protein: standard error of a difference of two strategies from the choice of test proteins.
        seeds: fresh seeds of each winner.
        families: of test proteins.
    """

    search: float
    seed: float
    protein: float
    seeds: int
    families: int


@dataclass(frozen=True)
class _Sample:
    """Simulated errors: runs (draws, arms, n, seeds) and what the proteins add (draws, arms); variances (draws,)."""

    runs: np.ndarray
    shift: np.ndarray
    protein_variance: np.ndarray
    families: int

    def first(self, n: int) -> "_Sample":
        """The first n searches of each arm."""
        return replace(self, runs=self.runs[:, :, :n])


@dataclass(frozen=True)
class _Contrasts:
    """Statistics of k contrasts in every draw, each (draws, k)."""

    difference: np.ndarray
    variance: np.ndarray  # from the searches
    freedom: np.ndarray
    seed_variance: np.ndarray | float  # from what a seed does to all searches alike
    seeds: int
    protein_variance: np.ndarray  # (draws, 1)
    families: int

    def passed(self, level: float) -> np.ndarray:
        """(draws, k) True where the error model's p is below the level."""
        parts = [
            (self.variance, self.freedom),
            (self.seed_variance, max(1, self.seeds - 1)),
            (self.protein_variance, max(1, self.families - 1)),
        ]
        total = sum(variance for variance, _ in parts)
        freedom = total**2 / sum(variance**2 / own for variance, own in parts)
        howe = sum(variance * _squared_t(own, level) for variance, own in parts)
        return self.difference**2 > (howe + total * _squared_t(freedom, level)) / 2


def _squared_t(freedom: np.ndarray | float, level: float) -> np.ndarray:
    return np.interp(1 / np.asarray(freedom), _GRID, _quantiles(level)) ** 2


@cache
def _quantiles(level: float) -> np.ndarray:
    return stdtrit(1 / _GRID, 1 - level / 2)


def _draw(effect: float, n: int, arms: int, noise: Noise, draws: int, fixed: bool = False) -> _Sample:
    """The first arm's mean error lies `effect` below that of all others.

    Args:
        fixed: True if only the first arm's searches differ, because the others are one candidate each.
    """
    rng = generator("power", n, arms, noise.seeds, noise.families, draws)
    searches = noise.search * rng.normal(size=(draws, arms, n, 1))
    if fixed:
        searches[:, 1:] = 0.0
    runs = searches + noise.seed * rng.normal(size=(draws, arms, n, noise.seeds))
    runs[:, 0] -= effect
    freedom = max(1, noise.families - 1)
    shift = noise.protein / math.sqrt(2) * rng.normal(size=(draws, arms))
    return _Sample(runs, shift, noise.protein**2 * rng.chisquare(freedom, size=draws) / freedom, noise.families)


def _between_strategies(sample: _Sample, pairs: Sequence[tuple[int, int]]) -> _Contrasts:
    """Contrasts of pairs of arms by the error model."""
    left, right = (list(side) for side in zip(*pairs, strict=True))
    means = sample.runs.mean(axis=(2, 3)) + sample.shift
    between, summed, held = _parts(sample.runs)
    n, seeds = sample.runs.shape[2:]
    parts = [(between[:, left], n - 1), (between[:, right], n - 1)]
    common: np.ndarray | float = 0.0
    if seeds > 1:
        common = ((summed[:, left] - summed[:, right]) ** 2).sum(axis=2) - held[:, left] - held[:, right]
    return _contrasts(means[:, left] - means[:, right], parts, np.maximum(0.0, common), sample)


def _with_baseline(sample: _Sample) -> _Contrasts:
    """The contrast of arm 0 with one fixed candidate, the first search of arm 1."""
    fixed = sample.runs[:, 1, :1]
    between, summed, held = _parts(sample.runs[:, :1])
    difference = sample.runs[:, 0].mean(axis=(1, 2)) - fixed.mean(axis=(1, 2)) + sample.shift[:, 0] - sample.shift[:, 1]
    parts = [(between, sample.runs.shape[2] - 1)]
    seeds = sample.runs.shape[3]
    common: np.ndarray | float = 0.0
    if seeds > 1:
        other = (fixed[:, 0] - fixed[:, 0].mean(axis=1, keepdims=True)) / seeds / math.sqrt(1 - 1 / seeds)
        common = ((summed[:, 0] - other) ** 2).sum(axis=1, keepdims=True) - held
    return _contrasts(difference[:, None], parts, np.maximum(0.0, common), sample)


def _parts(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per arm: variance of its mean from its searches, weighted seed deviations (…, seeds), and their own variance."""
    n, seeds = runs.shape[2:]
    means = runs.mean(axis=3)
    between = means.var(axis=2, ddof=1) / n
    if seeds == 1:
        return between, np.zeros((*between.shape, 1)), np.zeros_like(between)
    deviations = (runs - means[..., None]) / n / seeds / math.sqrt(1 - 1 / seeds)
    return between, deviations.sum(axis=2), (deviations**2).sum(axis=(2, 3))


def _contrasts(
    difference: np.ndarray, parts: list[tuple[np.ndarray, int]], common: np.ndarray | float, sample: _Sample
) -> _Contrasts:
    variance = np.maximum(sum(part for part, _ in parts), 1e-18)
    freedom = np.maximum(1.0, variance**2 / np.maximum(sum(part**2 / free for part, free in parts), 1e-40))
    return _Contrasts(
        difference, variance, freedom, common, sample.runs.shape[3], sample.protein_variance[:, None], sample.families
    )


def _permutation_p(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """p of the two-sided permutation test of each row, (k, n) against (k, n)."""
    return exact_p(a, b) if a.shape[1] <= _EXACT else _pitman_p(a, b)


def _pitman_p(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same by a beta distribution with the mean and variance of the permuted squared ratio."""
    n = a.shape[1]
    total = 2 * n
    values = np.concatenate([a, b], axis=1)
    values = values - values.mean(axis=1, keepdims=True)
    squares, fourth = (values**2).sum(axis=1), (values**4).sum(axis=1)
    two, four = 1 / (total - 1), 3 / ((total - 1) * (total - 3))  # expectation of ± products of 2 and 4 searches
    moment = (
        fourth * (1 + 4 * two)
        + 3 * (squares**2 - fourth)
        + 6 * (squares**2 - 2 * fourth) * two
        + (3 * squares**2 - 6 * fourth) * four
    ) / (total * squares) ** 2
    mean = 1 / (total - 1)
    scale = mean * (1 - mean) / (moment - mean**2) - 1
    ratio = (2 * values[:, :n].sum(axis=1)) ** 2 / (total * squares)
    return np.maximum(1 - betainc(mean * scale, (1 - mean) * scale, np.minimum(ratio, 1.0)), least_p(n, n))


def established(
    effect: float, n: int, *, arms: int, family: int, noise: Noise, level: float = ALPHA, draws: int = DRAWS
) -> float:
    """Probability that a pair of strategies is established after Holm's adjustment.

    Args:
        effect: target units by which one strategy lies below all others; the pairs that it is a side of are counted.
        n: distinct searches of each strategy.
        arms: strategies.
        family: contrasts that the adjustment counts.
        level: error rate of the family at this look.
    """
    pairs = list(itertools.combinations(range(arms), 2))
    if n < FEW or least_p(n, n) >= level / max(1, family - len(pairs) + 1):
        return 0.0
    sample = _draw(effect, n, arms, noise, draws)
    found = _between_strategies(sample, pairs)
    permuted = np.ones(found.difference.shape)
    outcomes = sample.runs.mean(axis=3) + sample.shift[..., None]
    loosest = found.passed(level / max(1, family - len(pairs) + 1))
    for place, (a, b) in enumerate(pairs):
        rows = loosest[:, place]
        permuted[rows, place] = _permutation_p(outcomes[rows, a], outcomes[rows, b])
    rejected = np.zeros(found.difference.shape, bool)
    while True:
        step = family - rejected.sum(axis=1)
        grown = rejected.copy()
        for left in np.unique(step):
            bound = level / max(1, left)
            rows = step == left
            grown[rows] |= found.passed(bound)[rows] & (permuted[rows] < bound)
        if (grown == rejected).all():
            return float(grown[:, : arms - 1].mean())  # the pairs of arm 0 come first
        rejected = grown


def registered(
    effect: float, plan: Sequence[int], *, noise: Noise, baseline: bool = False, draws: int = DRAWS
) -> float:
    """Probability that the registered contrast is established at some planned look.

    Args:
        effect: true difference in target units.
        plan: searches of each side at each look.
        baseline: True if the other side is the baseline.
    """
    sample = _draw(effect, plan[-1], 2, noise, draws, fixed=baseline)
    found = np.zeros(draws, bool)
    for n, alpha in zip(plan, planned_levels(plan), strict=True):
        part, level = sample.first(n), PRIMARY * alpha
        if baseline:
            if n > 1:
                found |= _with_baseline(part).passed(level)[:, 0]
            continue
        if n < FEW or least_p(n, n) >= level:
            continue
        rows = np.flatnonzero(_between_strategies(part, [(0, 1)]).passed(level)[:, 0])
        outcomes = part.runs[rows].mean(axis=3)
        found[rows] |= _permutation_p(outcomes[:, 0], outcomes[:, 1]) < level
    return float(found.mean())


def smallest_n(power: Callable[[int], float], target: float, least: int = FEW, most: int = MOST) -> int | None:
    """The smallest n whose power reaches the target; None beyond `most`."""
    if power(most) < target:
        return None
    low, high = least - 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= target else (middle, high)
    return high


def smallest_effect(power: Callable[[float], float], target: float, most: float = 100.0) -> float | None:
    """The smallest effect in target units whose power reaches the target, to 1 %; None if `most` does not."""
    if power(most) < target:
        return None
    low, high = 0.0, most
    while high - low > 0.01 * high and high > 1e-6:
        middle = (low + high) / 2 if low else high / 4
        low, high = (low, middle) if power(middle) >= target else (middle, high)
    return high


def attainable_p(n: int, family: int) -> float:
    """The least adjusted p of a pair with n searches of each side."""
    return min(1.0, least_p(n, n) * family) if n >= FEW else 1.0


def least_searches(family: int, level: float = ALPHA) -> int:
    """Searches of each side from which a pair can be established at all."""
    return next(n for n in itertools.count(FEW) if attainable_p(n, family) < level)
