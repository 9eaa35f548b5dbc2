"""The bundle's candidate is chosen by select, never by test."""

import polars as pl
import pytest

from tmelt.bundle.choose import Chosen, rank_winners
from tmelt.errors import InputError
from tmelt.evidence.schema import CONFIRMED_PREDICTIONS, OPENED_LABELS, PLAN
from tmelt.evidence.tables import table
from tmelt.evidence.winners import Confirmed

PROTEINS = [("v", "select", 50.0), ("w", "select", 60.0), ("t", "test", 55.0)]


def planned(candidate, purpose="winner", strategy=None, seeds=(5, 6)):
    row = dict.fromkeys(PLAN.names) | {"candidate": candidate, "purpose": purpose, "seeds": list(seeds)}
    if strategy:
        row |= {"strategy": strategy, "trajectory": 0, "iteration": 3}
    return row | {"budget_factor": 1.0, "fit_fraction": 1.0}


def confirmed(errors):
    """Confirmed runs from {candidate: {seed: (error on select, error on test)}}."""
    labels = [
        dict.fromkeys(OPENED_LABELS.names) | {"protein_id": name, "split": split, "tm": tm, "cluster": name}
        for name, split, tm in PROTEINS
    ]
    rows = [
        {
            "candidate": candidate,
            "seed": seed,
            "protein_id": name,
            "split": split,
            "prediction": tm + (select if split == "select" else test),
        }
        for candidate, seeds in errors.items()
        for seed, (select, test) in seeds.items()
        for name, split, tm in PROTEINS
    ]
    return Confirmed.of(table(rows, CONFIRMED_PREDICTIONS), table(labels, OPENED_LABELS))


def plan(*rows):
    return table(rows, PLAN)


def choose_winner(plan, confirmed) -> Chosen:
    """The first of the ranking."""
    return rank_winners(plan, confirmed)[0]


def test_the_lowest_error_on_select_wins_whatever_test_says():
    chosen = choose_winner(
        plan(planned("c0", "baseline"), planned("c1", strategy="bo"), planned("c2", strategy="ra")),
        confirmed({"c0": {5: (3, 0), 6: (3, 0)}, "c1": {5: (2, 9), 6: (1, 9)}, "c2": {5: (2, 0), 6: (2, 0)}}),
    )
    assert chosen.candidate == "c1"
    assert chosen.select_mae == pytest.approx(1.5)
    assert chosen.found_by == (("bo", 0, 3),)
    assert not chosen.baseline


def test_the_others_follow_in_order():
    ranked = rank_winners(
        plan(planned("c0", "baseline"), planned("c1", strategy="bo"), planned("c2", strategy="ra")),
        confirmed({"c0": {5: (3, 0), 6: (3, 0)}, "c1": {5: (2, 9), 6: (1, 9)}, "c2": {5: (2, 0), 6: (2, 0)}}),
    )
    assert [one.candidate for one in ranked] == ["c1", "c2", "c0"]


def test_the_baseline_may_win():
    chosen = choose_winner(
        plan(planned("c0", "baseline"), planned("c1", strategy="bo")),
        confirmed({"c0": {5: (1, 0), 6: (1, 0)}, "c1": {5: (2, 0), 6: (2, 0)}}),
    )
    assert (chosen.candidate, chosen.baseline, chosen.found_by) == ("c0", True, ())


def test_of_equals_the_baseline_and_every_search_that_ended_with_it_is_named():
    chosen = choose_winner(
        plan(planned("c0", "baseline"), planned("c0", strategy="bo"), planned("c1", strategy="ra")),
        confirmed({"c0": {5: (1, 0), 6: (1, 0)}, "c1": {5: (1, 0), 6: (1, 0)}}),
    )
    assert (chosen.candidate, chosen.baseline, chosen.found_by) == ("c0", True, (("bo", 0, 3),))


def test_a_candidate_with_a_failed_seed_does_not_count():
    both = plan(planned("c0", "baseline"), planned("c1", strategy="bo"))
    chosen = choose_winner(both, confirmed({"c0": {5: (3, 0), 6: (3, 0)}, "c1": {5: (1, 0)}}))
    assert chosen.candidate == "c0"
    with pytest.raises(InputError, match="no bundle: no winner was trained well with all of its fresh seeds"):
        choose_winner(both, confirmed({"c1": {5: (1, 0)}}))


def test_other_purposes_are_no_winners():
    ablated = planned("c2", "ablation", "bo")
    with pytest.raises(InputError, match="no bundle"):
        choose_winner(plan(ablated), confirmed({"c2": {5: (0, 0), 6: (0, 0)}}))
    with pytest.raises(InputError, match="no bundle"):
        choose_winner(pl.DataFrame(plan().clear()), confirmed({}))
