"""Intervals, tests and power: by hand, against published values, and against simulated searches."""

import math

import numpy as np
import pytest
from scipy import stats

from tmelt.evidence import statistics as st


def test_permutation_test_of_two_separate_groups_of_five_is_two_in_252():
    a, b = np.arange(5.0), np.arange(10.0, 15.0)
    assert st.permutation_p(a, b, np.random.default_rng(0)) == pytest.approx(2 / 252)


def test_permutation_test_of_equal_groups_is_one():
    assert st.permutation_p(np.ones(5), np.ones(5), np.random.default_rng(0)) == 1


def test_sampled_permutations_agree_with_the_t_test():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 15), rng.normal(0.8, 1, 15)
    assert st.permutation_p(a, b, rng) == pytest.approx(stats.ttest_ind(a, b).pvalue, abs=0.01)


def test_holm_by_hand():
    assert st.holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert st.holm([0.6, 0.9]) == [1.0, 1.0]


def test_probability_of_improvement_counts_ties_half():
    share, low, high = st.probability_of_improvement(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    assert share == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert 0 <= low < share < high <= 1


def test_wilson_interval_of_complete_separation_does_not_collapse():
    share, low, high = st.probability_of_improvement(np.zeros(5), np.ones(5))
    assert share == 1 and high == 1
    assert low == pytest.approx(5 / (5 + 1.959964**2), abs=1e-4)


def test_power_of_the_textbook_case():
    # Cohen 1988, table 2.4.1: d = 0.5 needs 64 per group for 80 % and 85 or 86 for 90 %.
    assert st.searches_needed(0.5, 0.8) == 64
    assert st.searches_needed(0.5, 0.9) in (85, 86)
    assert st.searches_needed(0.0, 0.8) is None
    assert st.searches_needed(1e-4, 0.8) is None
    assert st.searches_needed(50.0, 0.8) == 2
    assert st.two_sample_power(st.detectable_effect(5), 5) == pytest.approx(0.8)
    assert st.detectable_effect(1) is None


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


def test_pairing_over_proteins_sharpens_a_difference():
    rng = np.random.default_rng(3)
    shared = np.abs(rng.normal(5, 3, 200))
    a, b = shared + 0.2 + rng.normal(0, 0.1, (4, 200)), shared + rng.normal(0, 0.1, (4, 200))
    found = st.difference_interval(a, b, np.arange(200), np.random.default_rng(0))
    assert 0.1 < found.low < 0.2 < found.high < 0.3
    alone = st.mean_interval(a, np.arange(200), np.random.default_rng(0))
    assert alone.high - alone.low > 5 * (found.high - found.low)


def test_welch_interval_is_scipys():
    a, b = np.array([1.0, 2.0, 4.0]), np.array([3.0, 3.5, 5.0, 6.0])
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    found = st.welch_interval(a, b)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert st.welch_interval(a, b[:1]).low is None


def test_generators_depend_on_their_names_alone():
    assert st.generator("a", 1).random() == st.generator("a", 1).random() != st.generator("a", 2).random()


def _world(rng, families=60):
    """Proteins in families, and what all candidates get wrong about them."""
    sizes = rng.choice([1, 1, 2, 4], size=families)
    clusters = np.repeat(np.arange(families), sizes)
    shared = math.sqrt(0.2) * rng.normal(size=families)[clusters] + math.sqrt(0.4) * rng.normal(size=len(clusters))
    return clusters, shared


def _searches(rng, shared, count, mae, between):
    """Errors (searches, proteins) of `count` winners whose true MAE is spread around `mae`."""
    true = mae + between * rng.normal(size=count)
    unit = shared + math.sqrt(0.25) * rng.normal(size=(count, len(shared)))
    return np.abs((unit + math.sqrt(0.15) * rng.normal(size=unit.shape)) * true[:, None] * math.sqrt(math.pi / 2))


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 5, 8])
def test_intervals_cover_the_truth(count):
    rng = np.random.default_rng(count)
    mean = difference = 0
    worlds = 250
    for _ in range(worlds):
        clusters, shared = _world(rng)
        a, b = _searches(rng, shared, count, 5.0, 0.3), _searches(rng, shared, count, 4.6, 0.3)
        found = st.mean_interval(a, clusters, rng)
        mean += found.low < 5.0 < found.high
        found = st.difference_interval(a, b, clusters, rng)
        difference += found.low < 0.4 < found.high
    # 95 % nominal; three standard errors of 250 worlds are 4 %.
    assert mean / worlds > 0.91
    assert difference / worlds > 0.91
    assert mean / worlds < 0.995


@pytest.mark.slow
def test_three_searches_that_differ_widely_are_covered_by_widening():
    """Almost as often as promised: the means of three resampled values are few. Not widened it would be 85 and 87 %."""
    rng = np.random.default_rng(3)
    mean = difference = 0
    worlds = 250
    for _ in range(worlds):
        clusters, shared = _world(rng)
        a, b = _searches(rng, shared, 3, 5.0, 1.2), _searches(rng, shared, 3, 4.6, 1.2)
        found = st.mean_interval(a, clusters, rng)
        mean += found.low < 5.0 < found.high
        found = st.difference_interval(a, b, clusters, rng)
        difference += found.low < 0.4 < found.high
    assert mean / worlds > 0.875
    assert difference / worlds > 0.91


@pytest.mark.slow
def test_large_families_are_covered_because_they_are_drawn_whole():
    """Drawn protein by protein, the interval would hold in half of these worlds."""
    rng = np.random.default_rng(8)
    inside, worlds = 0, 250
    for _ in range(worlds):
        clusters = np.repeat(np.arange(40), rng.choice([1, 4, 10], size=40))
        shared = math.sqrt(0.6) * rng.normal(size=40)[clusters]
        found = st.mean_interval(_searches(rng, shared, 8, 5.0, 0.1), clusters, rng)
        inside += found.low < 5.0 < found.high
    assert inside / worlds > 0.88


@pytest.mark.slow
def test_no_effect_seldom_wins_and_a_large_one_mostly_does():
    from tmelt.evidence.comparison import _with_verdicts, compare_errors

    rng = np.random.default_rng(11)
    worlds, false, found = 250, 0, 0
    for _ in range(worlds):
        clusters, shared = _world(rng)
        a, b, c = (_searches(rng, shared, 6, mae, 0.3) for mae in (5.0, 5.0, 4.2))
        (same,) = _with_verdicts([compare_errors("a", "b", "test_mae", a, b, clusters)])
        (other,) = _with_verdicts([compare_errors("a", "c", "test_mae", a, c, clusters)])
        false += same["verdict"] != "undecided"
        found += other["verdict"] == "b better"
        assert other["verdict"] != "a better"
    assert false / worlds < 0.09  # 5 % and three standard errors
    assert found / worlds > 0.5
