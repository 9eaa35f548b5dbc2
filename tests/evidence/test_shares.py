"""Intervals of shares of proteins and of errors in subgroups, against simulated families with known truth."""

import numpy as np
import pytest

from tmelt.evidence.shares import share_interval
from tmelt.evidence.subgroups import group_interval

WORLDS = 400


def families(rng: np.random.Generator, count: int, largest: int) -> np.ndarray:
    """(proteins,) family numbers; sizes between 1 and `largest`, small ones more often."""
    sizes = np.ceil(largest * rng.random(count) ** 2).astype(int)
    return np.repeat(np.arange(count), sizes)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "largest"), [(12, 1), (12, 4), (40, 3)])
@pytest.mark.parametrize("share", [0.6, 0.9])
@pytest.mark.parametrize("alike", [0.0, 0.5])
def test_intervals_of_a_share_cover_it(count, largest, share, alike):
    """Within a family proteins are inside together with probability `alike`."""
    rng = np.random.default_rng([count, largest, int(10 * share), int(10 * alike)])
    held = 0
    for _ in range(WORLDS):
        clusters = families(rng, count, largest)
        own, common = rng.random(len(clusters)), rng.random(count)[clusters]
        inside = np.where(rng.random(count)[clusters] < alike, common, own) < share
        low, high = share_interval(inside, clusters)
        assert 0 <= low <= inside.mean() <= high <= 1
        held += low <= share <= high
    assert held / WORLDS >= 0.92


def test_intervals_of_a_share_by_hand():
    low, high = share_interval(np.array([True] * 8 + [False] * 2), np.arange(10))
    z = 2.262  # Student's t with 9 degrees of freedom
    centre, half = (0.8 + z**2 / 20) / (1 + z**2 / 10), np.sqrt(0.16 / 10 + z**2 / 400) * z / (1 + z**2 / 10)
    assert low == pytest.approx(centre - half, abs=2e-3) and high == pytest.approx(centre + half, abs=2e-3)
    assert share_interval(np.array([True, False]), np.zeros(2)) == (None, None)
    low, high = share_interval(np.ones(30, bool), np.arange(30) // 3)
    assert low < 0.75 and high == 1


@pytest.mark.parametrize(("count", "largest"), [(4, 1), (6, 3), (12, 2), (30, 2)])
def test_intervals_of_an_error_in_a_subgroup_cover_it(count, largest):
    """Half-normal errors that relatives share in part; from four families on."""
    rng = np.random.default_rng([count, largest])
    held, truth = 0, 5.0
    for _ in range(WORLDS):
        clusters = families(rng, count, largest)
        unit = np.sqrt(0.4) * rng.normal(size=count)[clusters] + np.sqrt(0.6) * rng.normal(size=len(clusters))
        low, high = group_interval(np.abs(unit) * truth * np.sqrt(np.pi / 2), clusters)
        held += low <= truth <= high
    assert 0.91 <= held / WORLDS <= 0.99
