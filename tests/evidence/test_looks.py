"""Looks at test are counted and paid for: levels by hand, and a simulation of studies that look after every search."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from study_records import hypothesis, protocol, revision

from tmelt.evidence.looks import (
    ALPHA,
    looks,
    planned_levels,
    record_answer,
    registered_hypothesis,
    spending,
    unplanned_level,
)
from tmelt.evidence.permutation import permutation_p
from tmelt.evidence.verdict import FEW, adjusted
from tmelt.storage.files import read_json

PLAN = hypothesis(looks=[5, 10])


def _log(*numbers, fresh_seeds=3):
    return [
        {
            "opening": place + 1,
            "fresh_seeds": fresh_seeds,
            "searches": {f"{name}/t{t}": 9 for name in ("bo", "ua", "random") for t in range(n)},
        }
        for place, n in enumerate(numbers)
    ]


def test_spending_by_hand():
    # 2 − 2Φ(1.959964 / √0.5) = 2 − 2Φ(2.771808)
    assert spending(0.5) == pytest.approx(0.0055748, abs=1e-6)
    assert spending(1.0) == pytest.approx(0.05) == spending(1.7)
    assert spending(0.0) == 0.0
    assert planned_levels([5, 10]) == pytest.approx([0.0055748, 0.0444252], abs=1e-6)


def test_levels_without_a_plan_sum_to_alpha():
    assert unplanned_level(1) == pytest.approx(0.04)
    assert unplanned_level(2) == pytest.approx(0.0060793, abs=1e-6)
    total = sum(map(unplanned_level, range(1, 100_000)))
    assert ALPHA - 1e-6 < total < ALPHA


def test_only_other_data_are_a_look():
    same, more = _log(5, 5, 6), _log(5)
    found = looks(same, None)
    assert [(look.number, look.opening, look.searches) for look in found] == [(1, 1, 5), (2, 3, 6)]
    assert found[1].spent == pytest.approx(0.04) and found[1].share == pytest.approx(0.0060793 / 0.05, abs=1e-4)
    assert len(looks([*more, *_log(5, fresh_seeds=5)], None)) == 2


def test_planned_unplanned_and_late_looks_of_a_plan():
    found = looks(_log(5, 7, 10, 12), PLAN)
    assert [look.planned for look in found] == [True, False, True, False]
    assert found[1].alpha == pytest.approx(spending(0.7) - spending(0.5))
    assert sum(look.alpha for look in found) == pytest.approx(ALPHA)
    assert found[3].alpha == 0 and found[3].share == 0
    again = looks([*_log(5), *_log(5, fresh_seeds=5)], PLAN)
    assert [look.planned for look in again] == [True, False] and again[1].alpha == 0


def test_the_registered_contrast_counts_its_own_searches():
    log = _log(10)
    log[0]["searches"] = {name: n for name, n in log[0]["searches"].items() if name not in ("ua/t8", "ua/t9")}
    assert looks(log, PLAN)[0].searches == 8
    assert looks(log, replace(PLAN, a="bo", b="baseline"))[0].searches == 10


def test_a_hypothesis_of_after_the_first_opening_does_not_count():
    smaller, change = replace(PLAN, effect=0.1), "hypothesis.effect: 0.5 -> 0.1"
    late, early = (revision(change, openings=openings, hypothesis=PLAN) for openings in (1, 0))
    assert registered_hypothesis(protocol(hypothesis=smaller, revisions=(late,))) == PLAN
    assert registered_hypothesis(protocol(hypothesis=smaller, revisions=(early,))) == smaller
    added = revision("hypothesis: None -> {...}", openings=1)
    assert registered_hypothesis(protocol(hypothesis=PLAN, revisions=(added,))) is None
    assert registered_hypothesis(protocol()) is None


def test_the_answer_of_each_look_is_kept_once(tmp_path):
    first, second = looks(_log(5, 10), PLAN)
    for look, verdict in ((first, "undecided"), (first, "a better"), (second, "undecided")):
        record_answer(tmp_path / "looks.json", look, {"verdict": verdict})
    kept = read_json(tmp_path / "looks.json")
    assert [(entry["number"], entry["answer"]["verdict"]) for entry in kept] == [(1, "a better"), (2, "undecided")]


def test_a_used_up_look_establishes_nothing():
    assert adjusted([1e-12, None], share=0.0) == [1.0, None]
    assert adjusted([0.001, 0.02], primary=0, share=0.5) == pytest.approx([0.0025, 0.04])


@pytest.mark.parametrize("plan", [None, replace(PLAN, searches=16, looks=(16,))], ids=["no plan", "plan"])
def test_looking_after_each_added_search_establishes_nothing_false(plan):
    """No effect; a look after each search from 5 to 16: false claims in at most 5 % (9 to 14 % without correction)."""
    rng = np.random.default_rng(7)
    studies, most = 1500, 16
    values = rng.normal(size=(2, studies, most))
    counts = range(FEW, most + 1)
    levels = [look.alpha for look in looks(_log(*counts), plan)]
    corrected, naive = np.zeros(studies, bool), np.zeros(studies, bool)
    for n, level in zip(counts, levels, strict=True):
        p = stats.ttest_ind(values[0, :, :n], values[1, :, :n], axis=1).pvalue
        if n == FEW:
            p = np.array([permutation_p(*values[:, row, :n], rng) for row in range(studies)])
        corrected |= p < level
        naive |= p < ALPHA
    assert naive.mean() > 0.09
    assert corrected.mean() <= ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / studies)
    assert sum(levels) <= ALPHA + 1e-12


def test_levels_never_exceed_alpha_for_any_schedule():
    for counts in itertools.combinations(range(1, 14), 4):
        assert sum(look.alpha for look in looks(_log(*counts), PLAN)) <= ALPHA + 1e-12
