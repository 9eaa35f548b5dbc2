"""The winner of a search, chosen among its last incumbents on proteins that no search saw."""

import numpy as np
import polars as pl
import pytest

from tmelt.errors import InputError
from tmelt.evidence.selection import best_searches, choose, incumbent_path, last_incumbents, winners_of
from tmelt.storage.schema import LABELS, PREDICTIONS, as_frame, read_table, write_table

TM = [50.0, 60.0, 70.0]


def _search(tmp_path, errors, *, incumbents, sizes=None, strategy="ra", trajectory=0):
    """A search with these errors on select per trial and these incumbents after each trial; predictions on disk."""
    rows = []
    for iteration, (error, incumbent) in enumerate(zip(errors, incumbents, strict=True)):
        folder = tmp_path / strategy / f"t{trajectory}" / f"i{iteration}"
        for seed, offset in ((0, -0.1), (1, 0.1)):
            predictions = [
                {"protein_id": f"{split}{number}", "split": split, "prediction": tm + error + offset}
                for split in ("val", "select", "test")
                for number, tm in enumerate(TM)
            ]
            write_table(folder / f"s{seed}" / "predictions.parquet", predictions, PREDICTIONS)
        rows.append(
            {
                "strategy": strategy,
                "trajectory": trajectory,
                "iteration": iteration,
                "incumbent": incumbent,
                "seeds": [0, 1],
                "val_mae": 5.0 - iteration,
                "checkpoint_mb": 1.0,
                "parameter_count": (sizes or [10] * len(errors))[iteration],
                "script_lines": 5,
            }
        )
    return pl.DataFrame(rows)


@pytest.fixture
def labels():
    return as_frame(
        [{"protein_id": f"select{n}", "tm": tm, "family": "f", "parent": None} for n, tm in enumerate(TM)], LABELS
    )


def test_the_lowest_error_on_select_wins_among_the_last_incumbents(tmp_path, labels):
    trials = _search(tmp_path, [1.0, 6.0, 3.0, 4.0, 5.0], incumbents=[0, 0, 2, 3, 4])
    assert incumbent_path(trials) == [0, 2, 3, 4]
    found = choose(trials, tmp_path, labels, 3)
    assert found["iteration"].to_list() == [4, 3, 2]
    assert found["select_mae"].to_list() == pytest.approx([5, 4, 3])
    assert found["chosen"].to_list() == [False, False, True]
    (winner,) = winners_of(trials, found)
    assert winner["iteration"] == 2
    assert winner["select_mae"] == pytest.approx(3)
    assert [row["iteration"] for row in last_incumbents(trials)] == [4]
    assert choose(trials, tmp_path, labels, 1).filter("chosen")["iteration"].to_list() == [4]
    assert choose(trials, tmp_path, labels, 9).filter("chosen")["iteration"].to_list() == [0]


def test_equals_go_to_the_simpler_one_then_to_the_later_one(tmp_path, labels):
    trials = _search(tmp_path, [2.0, 2.0, 2.0], incumbents=[0, 1, 2], sizes=[9, 8, 10])
    assert choose(trials, tmp_path, labels, 3).filter("chosen")["iteration"].to_list() == [1]
    same = trials.with_columns(parameter_count=pl.lit(7))
    assert choose(same, tmp_path, labels, 3).filter("chosen")["iteration"].to_list() == [2]


def test_a_search_without_an_incumbent_has_no_winner_and_the_best_search_is_by_select(tmp_path, labels):
    failed = _search(tmp_path, [1.0], incumbents=[None], trajectory=0).with_columns(pl.col("incumbent").cast(pl.Int64))
    good = _search(tmp_path, [3.0, 2.0], incumbents=[0, 1], trajectory=1)
    worse = _search(tmp_path, [3.0, 2.5], incumbents=[0, 1], trajectory=2)
    trials = pl.concat([failed, good, worse])
    found = choose(trials, tmp_path, labels, 3)
    assert [row["trajectory"] for row in winners_of(trials, found)] == [1, 2]
    assert best_searches(trials, found) == {("ra", 1)}


def test_no_test_prediction_decides(tmp_path, labels):
    """Predictions of val and test may be anything."""
    trials = _search(tmp_path, [1.0, 2.0], incumbents=[0, 1])
    before = choose(trials, tmp_path, labels, 2)
    for path in tmp_path.glob("*/*/*/*/predictions.parquet"):
        frame = read_table(path, PREDICTIONS)
        noise = pl.Series(np.random.default_rng(0).normal(0, 100, len(frame)))
        hidden = pl.when(pl.col("split") == "select").then("prediction").otherwise(pl.col("prediction") + noise)
        write_table(path, frame.with_columns(prediction=hidden).to_dicts(), PREDICTIONS)
    assert choose(trials, tmp_path, labels, 2).equals(before)


def test_a_missing_prediction_is_named(tmp_path, labels):
    trials = _search(tmp_path, [1.0], incumbents=[0])
    (tmp_path / "ra" / "t0" / "i0" / "s1" / "predictions.parquet").unlink()
    with pytest.raises(InputError, match=r"s1/predictions\.parquet"):
        choose(trials, tmp_path, labels, 3)


def test_the_choices_of_a_study_carry_errors_on_test_and_against_the_winner(read):
    found = read("choices")
    assert found.group_by("strategy", "trajectory").agg(pl.col("chosen").sum())["chosen"].to_list() == [1] * 6
    assert found["test_mae"].null_count() == 0
    others = found.filter(~pl.col("chosen"))
    assert len(others) and others["difference"].null_count() == 0
    won = read("winners").sort("strategy", "trajectory")
    chosen = found.filter("chosen").sort("strategy", "trajectory")
    assert chosen.select("iteration", "test_mae").equals(won.select("iteration", "test_mae"))
    one = others.row(0, named=True)
    winner = chosen.filter(strategy=one["strategy"], trajectory=one["trajectory"])["test_mae"][0]
    assert one["difference"] == pytest.approx(one["test_mae"] - winner)
    assert one["low"] <= one["difference"] <= one["high"]
