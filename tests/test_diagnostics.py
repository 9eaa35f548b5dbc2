"""Diagnostics of a trial: means over seeds of what the candidate reports and of errors on stop."""

import json

import numpy as np
import polars as pl
import pytest

from tmelt.search.diagnostics import (
    CURVE_POINTS,
    GROUPS_MAX,
    LARGEST_ERROR,
    WORST,
    diagnostics_of,
    mean_reports,
    short_curve,
    stop_errors,
)
from tmelt.storage.schema import CURVE, PREDICTIONS, PROTEINS, write_table


def proteins_of(count: int, groups: int = 3) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"protein_id": f"p{n}", "sequence": "A" * (40 + 3 * n), "organism": f"g{n % groups}", "split": "stop",
         "tm": float(rng.normal(55, 9))}
        for n in range(count)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def test_errors_on_stop_are_those_of_a_direct_computation():
    known = proteins_of(30)
    tm = known["tm"].to_numpy()
    shift = np.where(known["organism"] == "g1", 4.0, -1.0)
    found = stop_errors(known, np.stack([tm + shift, tm + shift]))
    assert found["mae"] == pytest.approx(2.0) and found["bias"] == pytest.approx((4 * 10 - 20) / 30, abs=0.01)
    assert {name: (n, mae, bias) for name, n, mae, bias in found["groups"]} == {
        "g0": (10, 1.0, -1.0), "g1": (10, 4.0, 4.0), "g2": (10, 1.0, -1.0),
    }  # fmt: skip
    for bands in (found["tm"], found["length"]):
        assert sum(n for _, n, _, _ in bands) == 30
    assert len(found["worst"]) == WORST
    assert all(row[1] == "g1" and row[4] == 4 and isinstance(row[4], int) for row in found["worst"])


def test_calibration_tells_predictions_that_spread_too_far():
    known = proteins_of(60)
    tm = known["tm"].to_numpy()
    wide = stop_errors(known, (55 + 2 * (tm - 55))[None])["calibration"]
    assert wide["slope"] == 0.5 and wide["sd_predicted"] == pytest.approx(2 * wide["sd_measured"], abs=0.1)
    assert stop_errors(known, np.full((1, 60), 55.0))["calibration"]["slope"] is None


def test_errors_have_few_digits_that_a_script_could_write_into():
    known = proteins_of(30)
    found = stop_errors(known, np.random.default_rng(1).uniform(-1e6, 1e6, (2, 30)))
    numbers = [row[2:] for part in ("groups", "tm", "length") for row in found[part]]
    assert all(abs(value) <= LARGEST_ERROR for row in numbers for value in row)
    assert all(abs(row[4]) <= LARGEST_ERROR for row in found["worst"]) and found["mae"] <= LARGEST_ERROR


def test_many_groups_are_counted_together():
    known = proteins_of(60, groups=20)
    rows = stop_errors(known, known["tm"].to_numpy()[None])["groups"]
    assert len(rows) == GROUPS_MAX + 1 and rows[-1][0] == "12 others" and sum(row[1] for row in rows) == 60


def test_a_short_curve_keeps_both_ends_and_is_a_mean_over_seeds():
    long = [(epoch, 10.0 - epoch / 100) for epoch in range(1, 101)]
    points = short_curve([long, [(epoch, mae + 2) for epoch, mae in long]])
    assert len(points) == CURVE_POINTS and points[0] == [1, 10.99] and points[-1] == [100, 10.0]
    assert short_curve([]) == [] and short_curve([[(1, 5.0)]]) == [[1, 5.0]]


def test_reports_are_means_of_the_runs_that_have_them():
    assert mean_reports([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": 2.0, "b": 2.0}


@pytest.fixture
def runs(tmp_path):
    known = proteins_of(10)
    write_table(tmp_path / "proteins.parquet", known.select(PROTEINS.names).to_dicts(), PROTEINS)
    for seed, (epochs, shift) in enumerate([(3, 1.0), (2, 3.0)]):
        folder = tmp_path / f"s{seed}"
        folder.mkdir()
        curve = [
            {"epoch": epoch, "fit_loss": None, "stop_mae": 9.0 - epoch, "learning_rate": None, "reports": None}
            for epoch in range(1, epochs + 1)
        ]
        write_table(folder / "curve.parquet", curve, CURVE)
        rows = [
            {"protein_id": name, "split": "stop", "prediction": tm + shift}
            for name, tm in known.select("protein_id", "tm").iter_rows()
        ]
        write_table(folder / "predictions.parquet", rows, PREDICTIONS)
    return tmp_path


def run_row(**fields):
    return {"status": "ok", "epochs": None, "predict_s": None, "reports": None} | fields


def test_the_diagnostics_of_a_trial(runs):
    tried = [
        run_row(epochs=3, predict_s=0.5, reports=json.dumps({"blend": 1.0})),
        run_row(epochs=2, predict_s=0.25, reports=json.dumps({"blend": 0.5})),
    ]
    found = diagnostics_of([runs / "s0", runs / "s1"], tried, runs / "proteins.parquet")
    assert (found["epochs"], found["best_epoch"], found["predict_s"]) == (2.5, 2.5, 0.75)
    assert found["reports"] == {"blend": 0.75} and found["curve"] == [[1, 8.0], [2, 7.0], [3, 6.0]]
    assert found["stop_errors"]["mae"] == pytest.approx(2.0)


def test_a_failed_run_has_no_errors_on_stop(runs):
    tried = [run_row(), run_row(status="crash")]
    found = diagnostics_of([runs / "s0", runs / "s1"], tried, runs / "proteins.parquet")
    assert "stop_errors" not in found and found["best_epoch"] == 2.5
