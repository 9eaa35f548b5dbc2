"""Shares with their intervals, by hand and against SciPy; generators."""

import numpy as np
import pytest
from scipy import stats

from tmelt.evidence import statistics as st


def test_probability_of_improvement_counts_ties_half():
    share, low, high = st.probability_of_improvement(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    assert share == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert 0 <= low < share < high <= 1


def test_wilson_interval_of_complete_separation_does_not_collapse():
    share, low, high = st.probability_of_improvement(np.zeros(5), np.ones(5))
    assert share == 1 and high == 1
    assert low == pytest.approx(5 / (5 + 1.959964**2), abs=1e-4)


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 10), (12, 12)])
def test_wilson_interval_is_scipys_for_whole_counts(successes, n):
    known = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert st.wilson(successes / n, n) == pytest.approx((known.low, known.high))


def test_generators_depend_on_their_names_alone():
    assert st.generator("a", 1).random() == st.generator("a", 1).random() != st.generator("a", 2).random()
