"""The decision rule: by hand, and against simulated studies in which nothing differs."""

import numpy as np
import pytest
from scipy import stats

from tmelt.evidence.error_model import Estimate
from tmelt.evidence.permutation import least_p, permutation_p
from tmelt.evidence.verdict import ALPHA, adjusted, holm, p_of_strategies
from tmelt.evidence.worlds import World, draw, statements, truth


def test_permutation_test_of_two_separate_groups_of_five_is_two_in_252():
    a, b = np.arange(5.0), np.arange(10.0, 15.0)
    assert permutation_p(a, b, np.random.default_rng(0)) == pytest.approx(2 / 252)


def test_permutation_test_of_equal_groups_is_one():
    assert permutation_p(np.ones(5), np.ones(5), np.random.default_rng(0)) == 1


def test_sampled_permutations_agree_with_the_t_test():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 15), rng.normal(0.8, 1, 15)
    assert permutation_p(a, b, rng) == pytest.approx(stats.ttest_ind(a, b).pvalue, abs=0.01)


def test_holm_by_hand():
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]


def test_a_registered_contrast_pays_less_and_passes_its_level_on():
    assert adjusted([0.03, 0.02, 0.5]) == pytest.approx([0.06, 0.06, 0.5])
    # Established at 0.8 of the level: the others get the whole of it.
    assert adjusted([0.03, 0.02, 0.5], primary=0) == pytest.approx([0.0375, 0.04, 0.5])
    # Not established: the others share a fifth.
    assert adjusted([0.2, 0.02, 0.5], primary=0) == pytest.approx([0.25, 0.2, 1.0])
    assert adjusted([None, 0.02], primary=0) == [None, pytest.approx(0.1)]


def test_the_least_p_of_the_permutation_test():
    assert least_p(5, 5) == pytest.approx(2 / 252) and least_p(5, 6) == pytest.approx(1 / 462)


def test_strategies_need_five_distinct_searches_and_both_tests():
    found = Estimate(-1.0, {"searches": (0.01, 8.0)})
    a, b = np.arange(5.0), np.arange(10.0, 15.0)
    rng = np.random.default_rng(0)
    assert p_of_strategies(found, a[:4], b, rng) is None
    assert p_of_strategies(found, a, b, rng) == pytest.approx(2 / 252)  # the permutation test is the larger
    assert p_of_strategies(Estimate(-0.1, {"searches": (0.01, 8.0)}), a, b, rng) > 0.3  # the model is


NULL_WORLDS = {
    "one search": World(searches=1, between=0, seeds=5),
    "one search, two seeds": World(searches=1, between=0, seeds=2),
    "three searches, heavy tails": World(searches=3, tails="heavy"),
    "five searches, copies and deterministic arms": World(arms=4, searches=5, copying=2, deterministic=2),
    "five searches, 30 % failures": World(arms=4, searches=5, failing=0.3),
    "one dominant family": World(searches=1, between=0, seeds=5, proteins=72, families="dominant"),
    "one dominant group": World(searches=3, proteins=200, dominant_group=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NULL_WORLDS)
def test_worlds_without_an_effect_yield_no_statement(name):
    """At most 5 % of studies may claim anything; 9 of 100 is what a rate of 5 % exceeds in 3 % of tests."""
    world, false, covered = NULL_WORLDS[name], 0, []
    for number in range(100):
        drawn = draw(world, np.random.default_rng(number))
        rows = statements(drawn).to_dicts()
        decided = [row for row in rows if row["verdict"] in ("a better", "b better")]
        false += any(not truth(drawn, row) * row["difference"] > 0 for row in decided)
        covered += [row["low"] <= truth(drawn, row) <= row["high"] for row in rows if row["low"] is not None]
    assert false <= 9
    assert np.mean(covered) > 0.92


@pytest.mark.slow
def test_a_large_effect_is_found_and_its_interval_holds():
    world, found, covered = World(arms=3, searches=6, effect=1.5, proteins=200), 0, []
    for number in range(60):
        drawn = draw(world, np.random.default_rng(number))
        for row in statements(drawn).to_dicts():
            real = truth(drawn, row)
            covered.append(row["low"] <= real <= row["high"])
            if row["p_adjusted"] is not None and row["p_adjusted"] < ALPHA and real:
                assert row["difference"] < 0
                found += row["b"].startswith("s")
    assert found / 120 > 0.6
    assert 0.92 < np.mean(covered) < 0.99
