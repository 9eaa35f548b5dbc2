"""Optimism: zero where nothing was gained by chance, positive where validation chose."""

import numpy as np
import pytest

from tmelt.evidence.error_model import Arm, estimate
from tmelt.evidence.optimism import _difference_of_parts

VAL, HELD = np.arange(60), np.arange(60, 140)


def _optimism(gains):
    arm = Arm.single(_difference_of_parts(gains, VAL, HELD), range(len(gains)))
    return estimate(arm, None, np.arange(140))


def _candidates(rng, count):
    """Gains (candidates, seeds, proteins) over trial 0 of candidates that are all as good as it."""
    return rng.normal(0, 2, (count, 1, 140)) + rng.normal(0, 0.3, (count, 3, 1)) + rng.normal(0, 1, (count, 3, 140))


def test_the_difference_of_two_parts_has_the_sum_of_their_variances():
    gains = np.random.default_rng(0).normal(0, 1, (1, 140))
    values = _difference_of_parts(gains, VAL, HELD)
    assert values.mean() == pytest.approx(gains[0, VAL].mean() - gains[0, HELD].mean())
    expected = gains[0, VAL].var(ddof=1) / 60 + gains[0, HELD].var(ddof=1) / 80
    assert estimate(Arm.single(values), None, np.arange(140)).se ** 2 == pytest.approx(expected, rel=0.02)


def test_a_search_that_kept_nothing_has_none():
    assert _optimism(np.zeros((3, 140))).value == 0


@pytest.mark.slow
def test_it_is_zero_without_a_choice_and_positive_with_one():
    rng = np.random.default_rng(1)
    unchosen, chosen, covered = [], [], 0
    for _ in range(400):
        gains = _candidates(rng, 12)
        first = _optimism(gains[0])
        unchosen.append(first.value)
        low, high = first.interval()
        covered += low <= 0 <= high
        best = gains[:, :, VAL].mean(axis=(1, 2)).argmax()
        chosen.append(_optimism(gains[best]).value)
    assert abs(np.mean(unchosen)) < 3 * np.std(unchosen) / 20
    assert 0.92 < covered / 400 < 0.99
    assert np.mean(chosen) > 0.3
