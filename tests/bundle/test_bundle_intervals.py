"""Intervals of a bundle: the levels its proteins of select can give. Coverage: tests/evidence/test_conformal.py."""

import numpy as np
import pytest

from tmelt.errors import InputError
from tmelt.evidence.conformal import LEVELS, half_width, measured_coverage


def test_the_rank_is_the_finite_sample_one():
    assert half_width(list(range(1, 10)), 0.9) == 9  # ⌈10 · 0.9⌉ = 9 of 9
    assert half_width(list(range(1, 20)), 0.9) == 18
    assert half_width([3, 1, 2], 0.5) == 2


def test_too_few_proteins_give_no_interval_instead_of_a_wrong_one():
    with pytest.raises(InputError, match=r"level: 0\.9 needs 9 proteins of select, and there are 8: at most 0\.888"):
        half_width(list(range(8)), 0.9)
    half_width(list(range(8)), 0.888)


@pytest.mark.parametrize("level", [0, 1, 90, -0.1, float("nan")])
def test_a_level_is_a_share(level):
    with pytest.raises(InputError, match="between 0 and 1"):
        half_width([1.0] * 100, level)


def test_measured_coverage_leaves_out_what_cannot_be_had():
    rows = measured_coverage(list(range(1, 12)), np.array([0.0, 5.0, 10.5, 50.0]))
    assert [row["level"] for row in rows] == [level for level in LEVELS if level <= 0.9]
    assert rows[-1] == {"level": 0.9, "half_width": 11.0, "test_coverage": 0.75}
