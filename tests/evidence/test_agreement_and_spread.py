"""Correlation of validation and test along a search, and equality of spreads, against simulated truth."""

import numpy as np
import polars as pl
import pytest

from tmelt.evidence.agreement import pooled
from tmelt.evidence.spread import equal_spread, spread

WORLDS = 400


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's correlation without ties."""
    ranks = [values.argsort().argsort() for values in (x, y)]
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("searches", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("pearson", [0.0, 0.7])
def test_intervals_of_the_correlation_cover_it(searches, pearson):
    """Independent pairs of errors from a normal law, 25 trials a search."""
    rng, truth = np.random.default_rng([searches, int(10 * pearson)]), 6 / np.pi * np.arcsin(pearson / 2)
    held = 0
    for _ in range(WORLDS):
        val = rng.normal(size=(searches, 25))
        test = pearson * val + np.sqrt(1 - pearson**2) * rng.normal(size=(searches, 25))
        rhos = [spearman(*pair) for pair in zip(val, test, strict=True)]
        _, low, high, covers = pooled(rhos, [25] * searches)
        assert covers == ("searches" if searches >= 3 else "trials")
        held += low <= truth <= high
    assert held / WORLDS >= 0.92


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 5, 10])
@pytest.mark.parametrize("draw", ["normal", "heavy"])
def test_equal_spreads_are_called_different_in_at_most_a_twentieth(count, draw):
    rng = np.random.default_rng(count)
    false = 0
    for _ in range(WORLDS):
        groups = [rng.normal(size=count) if draw == "normal" else rng.standard_t(3, size=count) for _ in range(5)]
        false += equal_spread(groups) < 0.05
    assert false / WORLDS <= 0.07


def test_very_different_spreads_are_found():
    rng = np.random.default_rng(0)
    found = [equal_spread([rng.normal(size=8), rng.normal(size=8), 8 * rng.normal(size=8)]) < 0.05 for _ in range(100)]
    assert sum(found) > 70


def test_copies_of_a_search_do_not_count_towards_the_spread():
    won = pl.DataFrame(
        {
            "strategy": ["a"] * 4 + ["b"] * 3,
            "outcome": ["x", "x", "x", "y", "p", "q", "r"],
            "test_mae": [5.0, 5.0, 5.0, 7.0, 4.0, 5.0, 6.0],
        }
    )
    a, b = spread(won).to_dicts()
    assert (a["searches"], a["distinct"], a["p_value"]) == (4, 2, None) and "not tested" in a["note"]
    assert a["test_sd"] == pytest.approx(np.sqrt(2)) and b["test_sd"] == pytest.approx(1)
    assert b["p_value"] is None  # the only one that could be tested


def test_no_spread_at_all_is_not_tested():
    assert equal_spread([np.full(3, 5.0), np.full(4, 6.0)]) is None
    assert equal_spread([np.arange(3.0)]) is None
