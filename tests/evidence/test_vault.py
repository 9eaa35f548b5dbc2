"""Hidden labels are opened once, in one place, with a record; and the scores are exact."""

import json

import numpy as np
import polars as pl
import pytest
from make_tables import make_tables
from simulated_study import train_confirmation, write_study

from tmelt.errors import InputError
from tmelt.evidence.reading import read_predictions, read_runs
from tmelt.evidence.vault import read_labels, record_opening
from tmelt.storage.schema import HIDDEN, LABELS, PREDICTIONS, read_table, write_table


@pytest.fixture
def small(tmp_path):
    study = write_study(tmp_path, strategies=["random"], trajectories=1, iterations=2, seeds=(0, 1), proteins=80)
    train_confirmation(study)
    return study


def _opened(study):
    return make_tables(study, only=("tabulate_trials", "open_test_labels"))


def test_scores_are_exact_and_validation_agrees_with_the_search(simulated, read):
    runs, trials = read("runs"), read("trials")
    truth = simulated.proteins.select("protein_id", "split", "tm")
    row = runs.filter(pl.col("status") == "ok").row(5, named=True)
    folder = simulated.study / row["strategy"] / f"t{row['trajectory']}" / f"i{row['iteration']}" / f"s{row['seed']}"
    joined = read_table(folder / "predictions.parquet").join(truth, on=["protein_id", "split"])
    for split in ("val", "test"):
        part = joined.filter(pl.col("split") == split)
        assert row[f"{split}_mae"] == pytest.approx((part["prediction"] - part["tm"]).abs().mean(), abs=1e-9)
    means = (
        runs.filter(pl.col("status") == "ok").group_by("strategy", "trajectory", "iteration").agg(pl.mean("val_mae"))
    )
    both = trials.join(means, on=["strategy", "trajectory", "iteration"])
    assert len(both) == trials["val_mae"].count()
    assert (both["val_mae"] - both["val_mae_right"]).abs().max() <= 0.011


def test_failed_runs_keep_their_status_and_have_no_score(read):
    failed = read("runs").filter(pl.col("status") != "ok")
    assert len(failed) > 0
    assert failed["val_mae"].null_count() == failed["test_mae"].null_count() == len(failed)


def test_each_opening_is_recorded_and_the_second_does_not_hide_the_first(small):
    _opened(small)
    _opened(small)
    log = json.loads((small.study / "vault_log.json").read_text())
    assert [entry["opening"] for entry in log] == [1, 2]
    assert log[0]["rule"] == "open_test_labels" and log[0]["why"]
    assert log[0]["searches"] == {"random/t0": 3}
    assert len(log[0]["labels"]) == 3 and all(len(digest) == 64 for digest in log[0]["labels"].values())


def test_searches_that_went_on_after_an_opening_are_named(tmp_path):
    trials = pl.DataFrame({"strategy": ["bo", "bo", "ua"], "trajectory": [0, 0, 1]})
    for rows in (trials[:1], trials):
        record_opening(tmp_path / "log.json", rule="r", why="w", labels=[], trials=rows, fresh_seeds=2, runs=3)
    first, second = json.loads((tmp_path / "log.json").read_text())
    assert first["extended_since"] == [] and second["extended_since"] == ["bo/t0"]


def test_an_opening_that_fails_is_recorded_too(small):
    (small.study / "random" / "t0" / "i1" / "s0" / "run.parquet").unlink()
    with pytest.raises(InputError, match=r"i1/s0/run.parquet: no such file"):
        _opened(small)
    assert len(json.loads((small.study / "vault_log.json").read_text())) == 1


def test_predictions_that_do_not_fit_are_refused_by_name(small):
    folder = small.study / "random" / "t0" / "i0" / "s1"
    rows = read_table(folder / "predictions.parquet").to_dicts()
    write_table(folder / "predictions.parquet", rows[:-1], PREDICTIONS)
    with pytest.raises(InputError, match=r"i0/s1/predictions.parquet: not one prediction"):
        _opened(small)
    rows[-1] = rows[-1] | {"prediction": float("nan")}
    write_table(folder / "predictions.parquet", rows, PREDICTIONS)
    with pytest.raises(InputError, match=r"i0/s1/predictions.parquet: a prediction is not finite"):
        _opened(small)
    write_table(folder / "predictions.parquet", rows[:-1] + rows[:1], PREDICTIONS)
    with pytest.raises(InputError, match=r"i0/s1/predictions.parquet: not one prediction"):
        _opened(small)


def test_a_damaged_run_is_named(small):
    path = small.study / "random" / "t0" / "i2" / "s0" / "run.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"i2/s0/run.parquet: not a readable Parquet file"):
        read_runs([str(path.parent), str(path.parent.parent / "s1")])


def _files(small):
    vault = small.data / "vault"
    return [small.data / "proteins.parquet", *(vault / f"{split}.parquet" for split in HIDDEN)]


def test_labels_of_unknown_proteins_are_refused(small):
    test = small.data / "vault" / "test.parquet"
    stranger = {"protein_id": "stranger", "tm": 50.0, "family": "f", "parent": None}
    write_table(test, [*read_table(test).to_dicts(), stranger], LABELS)
    with pytest.raises(InputError, match="labels"):
        read_labels(*_files(small))


def test_test_labels_that_were_changed_since_the_start_are_not_opened(small):
    test = small.data / "vault" / "test.parquet"
    rows = read_table(test).to_dicts()
    write_table(test, [rows[0] | {"tm": rows[0]["tm"] + 1}, *rows[1:]], LABELS)
    with pytest.raises(InputError, match=r"vault/test\.parquet: not the labels this study was started with"):
        _opened(small)
    assert not (small.study / "vault_log.json").exists()


def test_relatives_share_a_cluster_and_a_given_cluster_column_wins(small):
    files = _files(small)
    labels = read_labels(*files)
    families = labels.join(small.proteins.select("protein_id", "family"), on="protein_id")
    assert families.group_by("family").agg(pl.col("cluster").n_unique())["cluster"].max() == 1
    assert families.group_by("cluster").agg(pl.col("family").n_unique())["family"].max() == 1
    assert (labels["identity"] == 0).all()  # families lie within one split
    pl.read_parquet(files[0]).with_columns(cluster=pl.lit("all")).write_parquet(files[0])
    assert read_labels(*files)["cluster"].unique().to_list() == ["all"]


def test_predictions_come_in_the_labels_order(small):
    labels = read_labels(*_files(small))
    folder = small.study / "random" / "t0" / "i0" / "s0"
    forward = read_predictions([folder], labels)
    assert np.array_equal(read_predictions([folder], labels.reverse())[:, ::-1], forward)
