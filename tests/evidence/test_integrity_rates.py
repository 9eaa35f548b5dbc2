"""Rates of integrity labels by strategy, against counts made by hand."""

import polars as pl

from tmelt.evidence.behaviour import integrity
from tmelt.evidence.schema import TRIALS
from tmelt.evidence.tables import table
from tmelt.search.integrity import LABELS


def trials(labels):
    """(strategy, trajectory, iteration, label, incumbent) as rows of the table `trials`."""
    names = ("strategy", "trajectory", "iteration", "integrity", "incumbent")
    return table([dict(zip(names, row, strict=True)) for row in labels], TRIALS)


def test_labels_are_counted_without_the_baseline():
    found = integrity(
        trials(
            [
                ("ua", 0, 0, "table_like", 0),
                ("ua", 0, 1, "table_like", 1),
                ("ua", 0, 2, "clean", 1),
                ("ua", 1, 0, "clean", 0),
                ("ua", 1, 1, "table_like", 0),
                ("ua", 1, 2, "not_row_wise", 0),
                ("bo", 0, 0, "clean", 0),
                ("bo", 0, 1, "clean", 1),
            ]
        )
    )
    assert found.group_by("strategy").len()["len"].to_list() == [len(LABELS)] * 2
    rows = {(row["strategy"], row["label"]): row for row in found.to_dicts()}
    table_like = rows["ua", "table_like"]
    assert (table_like["trials"], table_like["of"], table_like["rate"]) == (2, 4, 0.5)
    assert (table_like["searches"], table_like["incumbents"]) == (2, 1)
    assert rows["ua", "clean"]["rate"] == rows["ua", "not_row_wise"]["rate"] == 0.25
    assert rows["ua", "tampered"]["rate"] == 0.0
    assert rows["bo", "clean"]["rate"] == 1.0 and rows["bo", "clean"]["incumbents"] == 1


def test_every_trial_of_a_study_has_exactly_one_label(read):
    rates, tried = read("integrity"), read("trials").filter(pl.col("iteration") > 0)
    assert rates["trials"].sum() == len(tried)
    assert rates.group_by("strategy").agg(pl.col("rate").sum())["rate"].to_list() == [1.0] * 3
    assert tried["integrity"].is_in(LABELS).all()


def test_a_study_without_trials_has_an_empty_table():
    assert len(integrity(trials([]))) == 0
