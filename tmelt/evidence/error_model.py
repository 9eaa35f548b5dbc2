"""The one model of error: every interval and every test of this project comes from `estimate`.

A mean error varies with three things: the proteins that were measured (relatives are no independent evidence, so the
family is the unit), the training seeds (a lucky seed shifts all proteins of a run together; a seed that both sides
were trained with is paired), and the searches (equal searches are one observation). The three are crossed: each run
predicts every protein, and searches share their fresh seeds. The variance of a mean is therefore the sum of

- one part for the searches of the sides with at least two distinct ones: the variances of their search means, added
  with Welch's degrees of freedom (what seeds and protein-by-search interactions add is in them already);
- one part for the training seeds: the variance of the paired seed deviations, less what the searches already hold;
- one part for the families: the cluster-robust variance (CR2; tmelt.search.families), less what the runs already hold.

The parts have few degrees of freedom (two seeds: one). Howe's interval (1974), half² = Σ t²(fᵢ) Vᵢ, and Welch and
Satterthwaite's, half² = t²(f) Σ Vᵢ, are both exact where one part dominates; where none does, Howe's is too wide and
Welch's too narrow. The interval here takes the mean of the two half². `benchmarks/evidence.py` holds its coverage
against worlds with known truth.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from tmelt.search.families import Families

LEVEL = 0.95
NO_SEED = -1  # the seed of a predictor that has none
_TINY = 1e-18  # target units²; variances below are rounding


@dataclass(frozen=True)
class Arm:
    """Errors of one side of a comparison.

    Attributes:
        values: (runs, proteins) absolute errors, or any quantity whose mean over proteins is of interest.
        search: (runs,) the observation that a run belongs to; equal searches share one label.
        seed: (runs,) training seed; NO_SEED for a predictor without one.
        weight: (runs,) weight of each run in the mean, sums to 1.
    """

    values: np.ndarray
    search: np.ndarray
    seed: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, runs: Sequence[np.ndarray], seeds: Sequence[Sequence[int]], labels: Sequence[object]) -> "Arm":
        """The arm of several searches.

        Args:
            runs: per search (seeds, proteins) errors.
            seeds: per search its training seeds.
            labels: per search what it is; searches with equal labels are one observation and count by their number.
        """
        names = {label: index for index, label in enumerate(dict.fromkeys(labels))}
        values, search, seed, weight = [], [], [], []
        for name, index in names.items():
            same = [place for place, label in enumerate(labels) if label == name]
            own = np.atleast_2d(runs[same[0]])
            values.append(own)
            search += [index] * len(own)
            seed += list(seeds[same[0]])
            weight += [len(same) / len(labels) / len(own)] * len(own)
        return cls(np.concatenate(values), np.array(search), np.array(seed), np.array(weight))

    @classmethod
    def single(cls, errors: np.ndarray, seeds: Sequence[int] | None = None) -> "Arm":
        """The arm of one candidate, or without seeds of a predictor that is taken as it is.

        Args:
            errors: (seeds, proteins), or (proteins,) of one run.
            seeds: training seeds of the rows; None takes the mean over the rows as fixed.
        """
        errors = np.atleast_2d(errors)
        return cls.of([errors.mean(axis=0)], [[NO_SEED]], ["one"]) if seeds is None else cls.of([errors], [seeds], [0])

    @cached_property
    def searches(self) -> int:
        """Number of distinct searches."""
        return len(np.unique(self.search))

    @property
    def has_seeds(self) -> bool:
        """True if the spread between its training seeds can be seen."""
        return any(len(seeds) > 1 for seeds in self._seeds_of_searches())

    def _seeds_of_searches(self) -> list[np.ndarray]:
        return [np.unique(self.seed[self.search == label]) for label in np.unique(self.search)]


@dataclass(frozen=True)
class Estimate:
    """A mean error or a difference of two, with what its uncertainty consists of.

    Attributes:
        value: the estimate, in the unit of the values.
        parts: name of what varies: (variance of the estimate from it, degrees of freedom).
        logarithmic: True for a positive mean, whose interval is taken on the logarithmic scale: errors are skewed.
    """

    value: float
    parts: dict[str, tuple[float, float]]
    logarithmic: bool = False

    @property
    def se(self) -> float | None:
        """Standard error; None if nothing is known about what varies."""
        return float(np.sqrt(sum(variance for variance, _ in self.parts.values()))) if self.parts else None

    @property
    def freedom(self) -> float | None:
        """Welch and Satterthwaite's degrees of freedom of the whole; None without a spread."""
        total = sum(variance for variance, _ in self.parts.values())
        if total <= _TINY:
            return None
        return total**2 / sum(variance**2 / freedom for variance, freedom in self.parts.values())

    @property
    def covers(self) -> tuple[str, ...]:
        """What the interval accounts for: of `proteins`, `training seeds`, `searches`."""
        return tuple(self.parts)

    def half_width(self, level: float = LEVEL) -> float | None:
        """Half of the interval's width: the mean of Howe's and of Welch's, in squares; None without an interval."""
        if not self.parts:
            return None
        if self.freedom is None:
            return 0.0
        tail = (1 + level) / 2
        variances, freedoms = np.array(list(self.parts.values())).T
        howe = variances @ stdtrit(freedoms, tail) ** 2
        welch = variances.sum() * stdtrit(self.freedom, tail) ** 2
        return float(np.sqrt((howe + welch) / 2))

    def interval(self, level: float = LEVEL) -> tuple[float | None, float | None]:
        """The two ends; None where no interval can be given."""
        half = self.half_width(level)
        if half is None:
            return None, None
        if self.logarithmic and self.value > 0:
            factor = float(np.exp(half / self.value))
            return self.value / factor, self.value * factor
        return self.value - half, self.value + half

    def p_value(self, null: float = 0.0) -> float | None:
        """Two-sided p of the hypothesis that the true value is `null`; None without an interval.

        One minus the level whose interval just reaches `null`, so that a test and its interval never disagree.
        """
        if not self.parts:
            return None
        distance = abs(self.value - null)
        if sum(variance for variance, _ in self.parts.values()) <= _TINY:
            return float(distance <= np.sqrt(_TINY))
        if distance >= (self.half_width(1 - 1e-15) or 0.0):
            return 1e-15
        return float(brentq(lambda p: (self.half_width(1 - p) or 0.0) - distance, 1e-15, 1.0, xtol=1e-15, rtol=1e-9))


def estimate(a: Arm, b: Arm | None, clusters: np.ndarray) -> Estimate:
    """Mean error of `a` minus that of `b` on the same proteins, or of `a` alone, with the parts of its variance.

    Args:
        a, b: the two sides; without `b` the level of `a` is estimated.
        clusters: (proteins,) family of each protein.

    Returns:
        an estimate without parts, and so without an interval, if there are fewer than two families, or if a trained
        side has one run only (how lucky its seed was cannot be known), or if a value is not finite.
    """
    sides = [(1.0, a)] if b is None else [(1.0, a), (-1.0, b)]
    value = float(sum(sign * arm.weight @ arm.values.mean(axis=1) for sign, arm in sides))
    names, index = np.unique(clusters, return_inverse=True)
    lone = any(len(arm.seed) == 1 and arm.seed[0] != NO_SEED for _, arm in sides)
    if len(names) < 2 or lone or not np.isfinite(value):
        return Estimate(value, {})
    families = Families(index, len(names))
    parts: dict[str, tuple[float, float]] = {}

    within: list[np.ndarray] = []  # per side (runs, families): what a family adds to each run's mean
    for _, arm in sides:
        within.append(families.contributions(arm.values))
    means = [arm.values.mean(axis=1)[:, None] for _, arm in sides]

    runs: dict[str, tuple[float, float]] = {}
    interactions = 0.0
    for side, (_, arm) in enumerate(sides):
        if arm.searches > 1:
            variance, freedom = _between_searches(arm, means[side])
            runs[f"searches {side}"] = (float(variance[0]), freedom)
            interactions += float(_between_searches(arm, within[side])[0] @ families.inflation)
    if any(arm.has_seeds for _, arm in sides):
        variance, freedom = _between_seeds(sides, means)
        runs["seeds"] = (max(0.0, float(variance[0])), freedom)
        interactions += max(0.0, float(_between_seeds(sides, within)[0] @ families.inflation))
    # The seeds stay a part of their own: they may dominate with one or two degrees of freedom, and a Welch sum with the
    # searches would then be too sure.
    if across := [part for name, part in runs.items() if name != "seeds"]:
        parts["searches"] = _welch(across)
    if "seeds" in runs:
        parts["training seeds"] = runs["seeds"]

    total = sum(sign * (arm.weight @ part) for (sign, arm), part in zip(sides, within, strict=True))  # (families,)
    proteins = float(total**2 @ families.inflation)
    parts["proteins"] = (max(0.0, proteins - interactions), families.freedom)
    return Estimate(value, parts, b is None and bool((a.values >= 0).all()))


def estimate_numbers(a: Arm, b: Arm) -> Estimate:
    """Difference of two means of one number per search (an area under a curve): only searches vary, Welch's interval.

    Args:
        a, b: values (searches, 1).
    """
    value = float(a.weight @ a.values[:, 0] - b.weight @ b.values[:, 0])
    if min(a.searches, b.searches) < 2:
        return Estimate(value, {})
    parts = [_between_searches(arm, arm.values) for arm in (a, b)]
    return Estimate(value, {"searches": _welch((float(variance[0]), freedom) for variance, freedom in parts)})


def pseudo_values(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray], predictions: np.ndarray, clusters: np.ndarray
) -> np.ndarray:
    """Jackknife pseudo-values of a score that is no mean over proteins, one per family (Tukey 1958).

    Their mean estimates the score, and they may stand in for errors in an Arm, with each column a family of its own.

    Args:
        statistic: (runs, proteins) predictions and the positions (k,) of the proteins to use → (runs,) scores.
        predictions: (runs, proteins).
        clusters: (proteins,) family of each protein.

    Returns:
        (runs, families), scaled so that their mean is the score itself, without the jackknife's correction of bias.
    """
    names, index = np.unique(clusters, return_inverse=True)
    everything = np.arange(len(clusters))
    whole = statistic(predictions, everything)
    left_out = np.stack([statistic(predictions, everything[index != family]) for family in range(len(names))], axis=1)
    deviations = (len(names) - 1) * (left_out.mean(axis=1, keepdims=True) - left_out)
    return whole[:, None] + deviations


def _welch(parts: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """The sum of independent variances with Welch and Satterthwaite's degrees of freedom."""
    parts = list(parts)
    total = sum(variance for variance, _ in parts)
    if total <= _TINY:
        return 0.0, max(freedom for _, freedom in parts)
    return total, total**2 / sum(variance**2 / freedom for variance, freedom in parts)


def _between_searches(arm: Arm, cells: np.ndarray) -> tuple[np.ndarray, float]:
    """Variance of the arm's mean from its searches, unbiased for any weights, and its degrees of freedom.

    Args:
        cells: (runs, k) one number per run.

    Returns:
        ((k,) variances, freedom).
    """
    labels, index = np.unique(arm.search, return_inverse=True)
    weight = np.bincount(index, weights=arm.weight)  # (searches,)
    means = np.zeros((len(labels), cells.shape[1]))
    np.add.at(means, index, arm.weight[:, None] * cells)
    means /= weight[:, None]
    squares = (weight**2).sum()
    deviations = means - weight @ means
    form = np.diag(weight) - np.outer(weight, weight)
    freedom = float(np.trace(form) ** 2 / (form**2).sum())
    return squares / (1 - squares) * (weight @ deviations**2), freedom


def _between_seeds(sides: Sequence[tuple[float, Arm]], cells: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """Variance from the training seeds that the variance between searches does not hold yet.

    A search's deviations from its own mean are summed by seed over both sides, so that a seed which both were trained
    with is paired. Where a side has several searches, independent deviations are in its variance between searches
    already and are taken off: only what a seed does to all of them alike is left.

    Returns:
        ((k,) variances, which may be negative; freedom by Bell and McCaffrey).
    """
    seeds = np.unique(np.concatenate([arm.seed for _, arm in sides]))
    place = {seed: index for index, seed in enumerate(seeds.tolist())}
    columns = cells[0].shape[1]
    summed = np.zeros((len(seeds), columns))
    held = np.zeros(columns)
    maps = []  # the linear map from run means to the sums, for the degrees of freedom
    for (sign, arm), values in zip(sides, cells, strict=True):
        for label in np.unique(arm.search):
            rows = np.flatnonzero(arm.search == label)
            count = len(rows)
            if count < 2:
                continue
            scale = arm.weight[rows].sum() / count / np.sqrt(1 - 1 / count)
            deviations = scale * (values[rows] - values[rows].mean(axis=0))  # (seeds, k)
            spots = [place[seed] for seed in arm.seed[rows].tolist()]
            summed[spots] += sign * deviations
            if arm.searches > 1:
                held += (deviations**2).sum(axis=0)
            step = np.zeros((len(seeds), count))
            step[spots] = scale * (np.eye(count) - 1 / count)
            maps.append(step)
    together = np.concatenate(maps, axis=1)
    covariance = together @ together.T
    freedom = float(np.trace(covariance) ** 2 / (covariance**2).sum())
    return (summed**2).sum(axis=0) - held, freedom
