"""What is planned to be trained after the search."""

import polars as pl
import pytest
from simulated_study import AVERAGE, COMPOSITION, REFERENCE

from tmelt.errors import InputError
from tmelt.evidence.confirmation import (
    Candidate,
    ablations,
    organisms_to_leave_out,
    plan_confirmation,
    projections,
)
from tmelt.search.history import Proposal
from tmelt.search.knobs import Space
from tmelt.storage.schema import read_table

SPACE = Space()
KNOBS = SPACE.defaults()


def test_a_seed_of_the_search_is_refused_and_so_is_an_unknown_purpose(simulated, read):
    with pytest.raises(InputError, match="1 was used in the search"):
        plan_confirmation(read("trials"), read("choices"), simulated.study, SPACE, [7, 1])
    with pytest.raises(InputError, match="'luck' is not one of"):
        plan_confirmation(read("trials"), read("choices"), simulated.study, SPACE, [7], purposes=["luck"])


def test_candidates_are_written_as_proposals_that_can_be_trained(simulated):
    plan = read_table(simulated.study / "confirm" / "plan.parquet")
    for row in plan.iter_rows(named=True):
        proposal = Proposal.read(simulated.study / "confirm" / row["candidate"])
        assert proposal.variation.budget_factor == row["budget_factor"]
        assert proposal.variation.without_organism == row["without_organism"]
    assert set(plan["purpose"]) >= {"winner", "baseline", "ablation", "budget", "fraction", "organism"}
    assert plan.filter(pl.col("purpose") == "budget")["budget_factor"].unique().sort().to_list() == [2, 4]


def _proteins(**splits):
    """Proteins per organism: how many in fit, stop and test."""
    rows = [
        {"organism": None if name == "unnamed" else name, "split": split}
        for name, counts in splits.items()
        for split, count in zip(("fit", "stop", "test"), counts, strict=True)
        for _ in range(count)
    ]
    return pl.DataFrame(rows, schema={"organism": pl.String, "split": pl.String})


def test_an_organism_is_left_out_if_that_can_be_trained_and_tells_something():
    proteins = _proteins(yeast=(9, 2, 8), coli=(5, 1, 20), rare=(3, 1, 7), unseen=(0, 0, 12), unnamed=(4, 2, 30))
    assert organisms_to_leave_out(proteins) == ["coli", "yeast"]
    assert organisms_to_leave_out(_proteins(yeast=(9, 2, 8))) == []
    assert organisms_to_leave_out(_proteins(yeast=(9, 2, 8), coli=(5, 0, 20))) == ["coli"]
    assert organisms_to_leave_out(_proteins(unnamed=(9, 2, 8))) == []


def test_the_same_candidate_has_one_name():
    one = Candidate(REFERENCE, KNOBS)
    assert one.name == Candidate(REFERENCE, {**KNOBS, "dropout": 0.1}).name
    assert one.name != Candidate(REFERENCE, KNOBS, fit_fraction=0.5).name
    assert one.name != Candidate(REFERENCE, {**KNOBS, "dropout": 0.2}).name


def _path():
    """Baseline → two knobs → a function and a knob of its own, with one knob → another function."""
    composed = REFERENCE.replace("def loss_function", COMPOSITION + "def loss_function")
    averaged = composed.replace("def fit(", AVERAGE + "def fit(")
    second = SPACE.complete(KNOBS | {"loss": "huber", "patience": 20})
    third = second | {"pooling": "attention", "bins": 5}
    return [
        (0, Candidate(REFERENCE, KNOBS)),
        (3, Candidate(REFERENCE, second)),
        (5, Candidate(composed, third)),
        (9, Candidate(averaged, third)),
    ]


def test_each_change_is_left_out_alone():
    found = {(iteration, part): candidate for iteration, part, candidate in ablations(_path(), SPACE)}
    winner = _path()[-1][1]
    assert set(found) == {(3, "loss"), (3, "patience"), (5, "pooling"), (5, "script"), (9, "script")}
    assert found[(3, "loss")].knobs["loss"] == "mse" and "huber_delta" not in found[(3, "loss")].knobs
    assert found[(5, "pooling")].knobs == winner.knobs | {"pooling": "mean"}
    assert "residue_composition" not in found[(5, "script")].script and "weight_average" in found[(5, "script")].script
    assert "bins" not in found[(5, "script")].knobs and found[(5, "script")].knobs["pooling"] == "attention"
    assert found[(9, "script")].script == _path()[2][1].script


def test_projections_keep_the_script_and_take_the_knobs():
    found = {(iteration, part): candidate for iteration, part, candidate in projections(_path(), SPACE)}
    assert set(found) == {(None, "projected"), (5, "projected"), (5, "parent"), (5, "child")}
    assert found[(None, "projected")].script == REFERENCE
    assert found[(None, "projected")].knobs["pooling"] == "attention" and "bins" not in found[(None, "projected")].knobs
    assert found[(5, "projected")].script == REFERENCE
    assert found[(5, "parent")].knobs == _path()[1][1].knobs


def test_a_winner_that_is_the_baseline_has_nothing_to_leave_out():
    assert list(ablations(_path()[:1], SPACE)) == [] and list(projections(_path()[:1], SPACE)) == []
