"""The model of error: against textbook intervals where one thing varies, by hand where several do."""

import numpy as np
import pytest
from scipy import stats

from tmelt.evidence.error_model import NO_SEED, Arm, Estimate, estimate, estimate_numbers, pseudo_values
from tmelt.evidence.metrics import rank_correlation, within_organism_correlation


def _searches(errors, seeds=(0,)):
    """An arm of distinct searches: errors (searches, proteins), every seed with the same."""
    return Arm.of([np.tile(row, (len(seeds), 1)) for row in errors], [seeds] * len(errors), range(len(errors)))


def test_where_only_proteins_vary_the_interval_is_students():
    rng = np.random.default_rng(0)
    a, b = np.abs(rng.normal(5, 1, 60)), np.abs(rng.normal(4, 1, 60))
    found = estimate(Arm.single(a), Arm.single(b), np.arange(60))
    expected = stats.ttest_rel(a, b)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p_value() == pytest.approx(expected.pvalue)
    assert found.covers == ("proteins",)


def test_where_only_searches_vary_the_interval_is_welchs():
    a, b = np.array([1.0, 2.0, 4.0]), np.array([3.0, 3.5, 5.0, 6.0])
    found = estimate(_searches(np.tile(a[:, None], (1, 20))), _searches(np.tile(b[:, None], (1, 20))), np.arange(20))
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))
    arms = [Arm.of([[[x]] for x in numbers], [[0]] * len(numbers), range(len(numbers))) for numbers in (a, b)]
    assert estimate_numbers(*arms).interval() == pytest.approx(tuple(expected.confidence_interval()))
    assert estimate_numbers(arms[0], Arm.of([[[1.0]]], [[0]], [0])).interval() == (None, None)


def test_where_only_seeds_vary_shared_seeds_are_paired_and_others_are_not():
    a, b = np.array([5.0, 6.0, 5.5]), np.array([5.2, 6.3, 5.6])
    spread = [np.tile(x[:, None], (1, 20)) for x in (a, b)]
    shared = estimate(Arm.single(spread[0], [1, 2, 3]), Arm.single(spread[1], [1, 2, 3]), np.arange(20))
    assert shared.interval() == pytest.approx(tuple(stats.ttest_rel(a, b).confidence_interval()))
    apart = estimate(Arm.single(spread[0], [1, 2, 3]), Arm.single(spread[1], [4, 5, 6]), np.arange(20))
    assert apart.se == pytest.approx(np.sqrt(a.var(ddof=1) / 3 + b.var(ddof=1) / 3))
    assert apart.covers == ("training seeds", "proteins")


def test_copies_of_a_search_count_once_but_keep_their_weight():
    rng = np.random.default_rng(1)
    first, second, third = rng.normal(5, 1, (3, 2, 40))
    arm = Arm.of([first, first, second, third], [[0, 1]] * 4, ["a", "a", "b", "c"])
    assert arm.searches == 3
    found = estimate(arm, None, np.arange(40))
    assert found.value == pytest.approx((2 * first.mean() + second.mean() + third.mean()) / 4)
    one = Arm.of([first] * 5, [[0, 1]] * 5, ["a"] * 5)
    assert estimate(one, None, np.arange(40)) == estimate(Arm.single(first, [0, 1]), None, np.arange(40))


def test_relatives_widen_an_interval():
    family = np.repeat(np.random.default_rng(2).normal(5, 1, 40), 5)
    alone = estimate(Arm.single(family), None, np.arange(200)).half_width()
    together = estimate(Arm.single(family), None, np.repeat(np.arange(40), 5)).half_width()
    assert together > 2 * alone


def test_what_cannot_be_seen_gives_no_interval():
    errors = np.abs(np.random.default_rng(3).normal(size=(1, 50)))
    for found in (
        estimate(Arm.single(errors), None, np.zeros(50)),  # one family
        estimate(Arm.single(errors, [7]), None, np.arange(50)),  # one run of a trained candidate
        estimate(Arm.single(errors, [7]), Arm.single(errors + 1, [7]), np.arange(50)),
        estimate(Arm.single(errors, [7]), Arm.single(np.vstack([errors, errors]), [7, 8]), np.arange(50)),
        estimate(Arm.single(np.where(errors > 2, np.nan, errors)), None, np.arange(50)),
    ):
        assert (found.interval(), found.p_value(), found.se) == ((None, None), None, None)
    assert estimate(Arm.single(errors), None, np.arange(50)).half_width() > 0
    assert Arm.single(errors).seed.tolist() == [NO_SEED]


def test_a_level_keeps_to_positive_numbers():
    low, high = estimate(Arm.single(np.abs(np.random.default_rng(4).standard_t(2, 20))), None, np.arange(20)).interval()
    assert 0 < low < high


def test_a_test_and_its_interval_agree():
    found = Estimate(-1.0, {"searches": (0.05, 2.7), "proteins": (0.1, 60.0)})
    p = found.p_value()
    low, high = found.interval(1 - p)
    assert high == pytest.approx(0, abs=1e-6) and low == pytest.approx(-2, abs=1e-6)
    assert Estimate(0.0, {"proteins": (0.0, 9.0)}).p_value() == 1
    assert Estimate(0.5, {"proteins": (0.0, 9.0)}).p_value() == 0


def test_the_baseline_against_itself_is_covered():
    """An A/A test: two disjoint sets of seeds of one candidate, whose runs shift all proteins alike."""
    rng = np.random.default_rng(5)
    for seeds in (2, 3, 5):
        outside = 0
        for _ in range(300):
            hard = np.abs(rng.normal(6, 2, 72))
            runs = hard + 0.54 * rng.normal(size=(2 * seeds, 1)) + rng.normal(0, 1, (2 * seeds, 72))
            a, b = Arm.single(runs[:seeds], range(seeds)), Arm.single(runs[seeds:], range(seeds, 2 * seeds))
            low, high = estimate(a, b, np.arange(72)).interval()
            outside += not low <= 0 <= high
        assert outside / 300 < 0.085  # 5 % and nearly three standard errors


@pytest.mark.slow
def test_a_seed_that_shifts_every_search_alike_is_covered():
    """Two seeds shared by five searches: the level's spread is that of two numbers, however many searches there are."""
    rng, inside = np.random.default_rng(7), 0
    for _ in range(400):
        hard, common = 8 + rng.normal(0, 1, 60), rng.normal(0, 0.6, 2)
        runs = [hard + common[:, None] + 0.2 * rng.normal() + rng.normal(0, 1, (2, 60)) for _ in range(5)]
        low, high = estimate(Arm.of(runs, [[0, 1]] * 5, range(5)), None, np.arange(60)).interval()
        inside += low <= 8 <= high
    assert inside / 400 > 0.925


def test_pseudo_values_stand_for_a_score():
    rng = np.random.default_rng(6)
    tm = rng.normal(60, 10, 60)
    predictions = tm + rng.normal(0, 8, (3, 60))
    found = pseudo_values(lambda rows, kept: rank_correlation(rows[:, kept], tm[kept]), predictions, np.arange(60) // 2)
    assert found.shape == (3, 30)
    assert found.mean(axis=1) == pytest.approx(rank_correlation(predictions, tm))
    # Against the bootstrap's standard error of the first run's correlation.
    draws = [rank_correlation(predictions[:1, k], tm[k])[0] for k in rng.integers(60, size=(500, 60))]
    assert found[0].std(ddof=1) / np.sqrt(30) == pytest.approx(np.std(draws), rel=0.35)


@pytest.mark.slow
def test_intervals_of_rank_correlations_hold():
    """Two predictors of other quality on 30 families and three seeds; the truth is the mean over all worlds."""
    rng = np.random.default_rng(0)
    differences, levels = zip(*(_ranked(rng, families=30, seeds=3) for _ in range(200)), strict=True)
    for found in (np.array(differences), np.array(levels)):
        truth = found[:, 0].mean()
        assert 0.92 <= ((found[:, 1] <= truth) & (truth <= found[:, 2])).mean() <= 0.995


def _ranked(rng, *, families, seeds, organisms=4):
    """(value, low, high) of the difference of two rank correlations within organisms, and of the first one."""
    clusters = np.repeat(np.arange(families), rng.integers(1, 5, families))
    count = len(clusters)
    names = rng.integers(organisms, size=count)
    tm = rng.normal(0, 8, organisms)[names] + rng.normal(0, 2, families)[clusters] + rng.normal(0, 3, count)

    def arm(quality):
        shared = quality * tm + rng.normal(0, 2, families)[clusters] + rng.normal(0, 2, count)
        spread = 1 + np.abs(rng.normal(0, 0.4, (seeds, 1)))
        predictions = shared + spread * rng.normal(0, 1, (seeds, count))
        values = pseudo_values(
            lambda rows, kept: within_organism_correlation(rows[:, kept], tm[kept], [f"o{n}" for n in names[kept]]),
            predictions,
            clusters,
        )
        return Arm.single(values, range(seeds))

    one, other = arm(0.6), arm(0.4)
    found = [estimate(one, against, np.arange(one.values.shape[1])) for against in (other, None)]
    return [(each.value, *each.interval()) for each in found]
