"""The width of conformal intervals: by hand, at the edges, and against what they promise."""

import math

import numpy as np
import pytest

from tmelt.evidence.conformal import conformal_radius


def test_the_rank_by_hand():
    residuals = np.array([-4.0, 1.0, 3.0, -2.0])  # n = 4: the ⌈5 · 0.6⌉ = 3rd and ⌈5 · 0.8⌉ = 4th smallest
    assert conformal_radius(residuals, 0.6) == 3.0
    assert conformal_radius(residuals, 0.8) == 4.0
    assert conformal_radius(residuals, 0.9) == math.inf


@pytest.mark.parametrize(("count", "level"), [(19, 0.95), (9, 0.9), (199, 0.995), (99, 0.99)])
def test_the_largest_residual_is_enough_where_the_rank_is_whole(count, level):
    assert conformal_radius(np.arange(1.0, count + 1), level) == count
    assert conformal_radius(np.arange(1.0, count), level) == math.inf


def test_nothing_is_known_without_residuals_and_nonsense_is_refused():
    assert conformal_radius(np.array([]), 0.9) == math.inf
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal_radius(np.ones(3), 1.0)
    with pytest.raises(ValueError, match="not finite"):
        conformal_radius(np.array([1.0, np.nan]), 0.5)


@pytest.mark.parametrize("count", [15, 60])
def test_coverage_is_what_was_asked_for(count):
    """Over many worlds a further error lies inside with probability ⌈(n + 1)·level⌉ / (n + 1), whatever the law."""
    rng, level, worlds = np.random.default_rng(count), 0.8, 6000
    errors = rng.standard_t(3, size=(worlds, count + 1))
    inside = np.mean([abs(row[-1]) <= conformal_radius(row[:-1], level) for row in errors])
    expected = math.ceil((count + 1) * level) / (count + 1)
    assert inside == pytest.approx(expected, abs=4 * math.sqrt(0.16 / worlds))
