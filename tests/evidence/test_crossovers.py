"""Crossovers of simulated searches: identical processes show none, real ones are found."""

import itertools

import numpy as np
import pytest

from tmelt.evidence.crossovers import crossings, supported_crossovers

GRID = np.geomspace(1, 30, 60)


def searches(rng: np.random.Generator, count: int, *, speed: float = 12.0, gain: float = 0.15) -> np.ndarray:
    """(count, grid) incumbent errors of searches that improve at random trials; most of it within `speed` trials."""
    found = []
    for _ in range(count):
        spent = np.cumsum(rng.lognormal(0, 0.2, 30))
        steps = rng.exponential(gain, 30) * (rng.random(30) < 0.25) * np.exp(-np.arange(30) / speed)
        values = np.concatenate([[8.0], 8.0 - rng.exponential(0.2) - np.cumsum(steps[1:])])
        index = np.searchsorted(spent, GRID, side="right") - 1
        found.append(np.where(index >= 0, values[np.maximum(index, 0)], np.nan))
    return np.array(found)


def medians(curves: np.ndarray) -> np.ndarray:
    """Median curve over the searches from where one of them has begun."""
    return np.median(np.where(np.isnan(curves), np.nanmax(curves), curves), axis=0)


def test_crossings_by_hand():
    grid = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    a, b = np.array([5.0, 4.0, 4.0, 4.0, np.nan]), np.array([6.0, 5.0, 4.0, 3.0, 1.0])
    assert list(crossings("a", "b", a, b, grid)) == [("a", "b", 4.0, 3.0)]
    assert list(crossings("a", "b", a, a, grid)) == []


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 5, 10])
def test_identical_processes_show_crossovers_in_at_most_a_twentieth_of_studies(count):
    """Four arms, six pairs a study. Their median curves cross in most studies."""
    rng = np.random.default_rng(count)
    crossed = supported = 0
    for _ in range(60):
        arms = [searches(rng, count) for _ in range(4)]
        pairs = list(itertools.combinations(arms, 2))
        crossed += any(list(crossings("a", "b", medians(a), medians(b), GRID)) for a, b in pairs)
        supported += any(supported_crossovers("a", "b", a, b, GRID, rng) for a, b in pairs)
    assert crossed > 30
    assert supported <= 3


def test_a_fast_start_overtaken_by_a_thorough_search_is_found():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(20):
        fast, thorough = searches(rng, 8, speed=4) - 1.5, searches(rng, 8, speed=40, gain=1.2)
        crossed = supported_crossovers("fast", "thorough", fast, thorough, GRID, rng)
        found += [(one.ahead, one.behind) for one in crossed] == [("fast", "thorough")]
        assert all(one.support >= 0.95 for one in crossed)
    assert found >= 10


def test_fewer_than_three_searches_say_nothing():
    rng = np.random.default_rng(2)
    fast, slow = np.full((2, 60), 5.0), np.linspace(8, 2, 60)[None].repeat(5, axis=0)
    assert supported_crossovers("a", "b", fast, slow, GRID, rng) == []
