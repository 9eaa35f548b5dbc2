"""Where one strategy overtakes another for the money, if a bootstrap over the searches supports it.

Medians of noisy curves cross nearly always, also those of identical processes. A crossover is therefore reported only
if resampled searches show it as well: the share of resamples in which the one strategy is ahead on average before the
place, and the other one after it, must reach LEVEL. Copies of a search are one observation.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95  # share of resamples that must show the change of the lead
LEAST = 3  # distinct searches of either strategy below which nothing is said
DRAWS = 1000


@dataclass(frozen=True)
class Crossover:
    """A supported change of the lead.

    Attributes:
        ahead, behind: who leads before it, and who after it.
        place: position on the axis.
        value: median error of the new leader there.
        support: share of the resamples that show it.
    """

    ahead: str
    behind: str
    place: float
    value: float
    support: float


def crossings(
    a: str, b: str, left: np.ndarray, right: np.ndarray, grid: np.ndarray
) -> Iterator[tuple[str, str, float, float]]:
    """(ahead before, ahead after, position, MAE of the one that takes the lead) where two curves change the lead.

    Stretches where both are equal belong to the one that led before them; positions where one has no value are skipped.
    """
    leader = None
    for place, one, other in zip(grid, left, right, strict=True):
        if one != one or other != other or one == other:
            continue
        now = a if one < other else b
        if leader is not None and now != leader:
            yield leader, now, float(place), float(min(one, other))
        leader = now


def supported_crossovers(
    a: str, b: str, left: np.ndarray, right: np.ndarray, grid: np.ndarray, rng: np.random.Generator
) -> list[Crossover]:
    """Changes of the lead between two strategies that the bootstrap over searches supports.

    Args:
        left, right: (distinct searches, grid) incumbent error of each search; NaN before its first trial has ended.
        grid: (grid,) positions in ascending order.
    """
    if min(len(left), len(right)) < LEAST:
        return []
    both = ~(np.isnan(left).any(axis=0) | np.isnan(right).any(axis=0))
    if not both.any():
        return []
    left, right, grid = left[:, both], right[:, both], grid[both]
    observed = list(crossings(a, b, np.median(left, axis=0), np.median(right, axis=0), grid))
    if not observed:
        return []
    gaps = _resampled(left, rng) - _resampled(right, rng)  # (draws, grid)
    found = []
    for ahead, behind, place, value in observed:
        after = grid >= place
        sign = -1.0 if ahead == a else 1.0  # of the gap before the crossover
        shows = (sign * gaps[:, ~after].mean(axis=1) > 0) & (sign * gaps[:, after].mean(axis=1) < 0)
        if shows.mean() >= LEVEL:
            found.append(Crossover(ahead, behind, place, value, float(shows.mean())))
    return found


def _resampled(curves: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(draws, grid) medians over searches drawn with replacement."""
    chosen = rng.integers(len(curves), size=(DRAWS, len(curves)))
    return np.median(curves[chosen], axis=1)
