"""Intervals, tests and power: by hand, against published values, and against simulated searches."""

import math

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


def test_cluster_means_count_relatives_together():
    values = np.array([[1.0, 1.0, 4.0]])
    counts = np.array([[2, 0], [0, 2], [1, 1]])
    assert st.cluster_means(values, np.array(["a", "a", "b"]), counts)[:, 0] == pytest.approx([1, 4, 2])


def test_clusters_widen_an_interval():
    rng = np.random.default_rng(2)
    family = np.repeat(rng.normal(5, 1, 40), 5)
    alone = st.mean_interval(family, np.arange(200), np.random.default_rng(0))
    together = st.mean_interval(family, np.repeat(np.arange(40), 5), np.random.default_rng(0))
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_where_only_searches_vary_the_interval_is_students():
    means = np.array([4.0, 5.0, 6.5])
    errors = np.tile(means[:, None], (1, 100))
    found = st.mean_interval(errors, np.arange(100), np.random.default_rng(0))
    half = stats.t.ppf(0.975, 2) * means.std(ddof=1) / math.sqrt(3)
    # Three values resample to ten distinct means: the ends agree to a quarter, not to the digit.
    assert found.high - found.low == pytest.approx(2 * half, rel=0.25)


def test_one_search_and_one_cluster():
    errors = np.abs(np.random.default_rng(0).normal(size=(1, 50)))
    found = st.mean_interval(errors, np.arange(50), np.random.default_rng(0))
    assert found.low < found.estimate < found.high
    lone = st.mean_interval(errors, np.zeros(50), np.random.default_rng(0))
    assert (lone.low, lone.high) == (None, None)


def test_generators_depend_on_their_names_alone():
    assert st.generator("a", 1).random() == st.generator("a", 1).random() != st.generator("a", 2).random()
