"""Validation errors by protein: read from the runs of a search, and only those that its trials were scored by."""

import numpy as np
import pytest
from simulation import RULE

from tmelt.errors import InputError
from tmelt.search.decision import decide
from tmelt.search.history import History, Trial
from tmelt.search.scoring import validation_of
from tmelt.storage.schema import LABELS, PREDICTIONS, TRIAL, write_table

TM = {"p0": 50.0, "p1": 60.0, "p2": 70.0}


def write_labels(path, families):
    rows = [
        {"protein_id": name, "tm": tm, "family": family, "parent": None}
        for (name, tm), family in zip(TM.items(), families, strict=True)
    ]
    write_table(path, rows, LABELS)
    return path


def write_run(search, iteration, seed, errors):
    """Predictions in another order than the labels, with another part beside them."""
    rows = [
        {"protein_id": name, "split": "val", "prediction": tm + error}
        for (name, tm), error in zip(TM.items(), errors, strict=True)
    ]
    rows = [{"protein_id": "p9", "split": "select", "prediction": 1.0}, *reversed(rows)]
    write_table(search / f"i{iteration}" / f"s{seed}" / "predictions.parquet", rows, PREDICTIONS)


def row_of(iteration, maes):
    return dict.fromkeys(TRIAL.names) | {
        "iteration": iteration, "status": "ok", "fidelity": 1.0, "seeds": [0, 1], "val_mae_by_seed": maes,
        "val_mae": np.mean(maes), "checkpoint_mb": 1.0, "parameter_count": 1, "script_lines": 1,
    }  # fmt: skip


@pytest.fixture
def search(tmp_path):
    """Two trials of two seeds, the first of them in a history."""
    for seed, errors in enumerate(([1, -2, 3], [2, -2, 5])):
        write_run(tmp_path, 0, seed, errors)
        write_run(tmp_path, 1, seed, [0.5 * error for error in errors])
    history = History([Trial.of(row_of(0, [2.0, 3.0]) | {"decision": "baseline", "incumbent": 0})])
    return tmp_path, history, write_labels(tmp_path / "val.parquet", ["a", "b", "b"])


def test_errors_are_read_in_the_order_of_the_labels(search):
    folder, history, labels = search
    validation = validation_of(folder, history, labels)
    assert validation.errors(0, [1, 0]).tolist() == [[2, 2, 5], [1, 2, 3]]
    assert validation.families.share.tolist() == pytest.approx([1 / 3, 2 / 3])
    found = decide(history, row_of(1, [1.0, 1.5]), RULE, validation)
    assert found.difference == -1.25 and found.margin > 0


def test_predictions_that_are_missing_or_were_changed_are_reported(search):
    folder, history, labels = search
    path = folder / "i0" / "s1" / "predictions.parquet"
    write_run(folder, 0, 1, [0, 0, 0])
    with pytest.raises(InputError, match=r"s1/predictions.parquet: validation MAE 0.00, but trial 0 was scored with 3"):
        validation_of(folder, history, labels).errors(0, [0, 1])
    path.unlink()
    with pytest.raises(
        InputError, match=r"s1/predictions.parquet: no such file, but trial 0 was scored by it; restore"
    ):
        validation_of(folder, history, labels).errors(0, [0, 1])


def test_one_family_is_no_evidence_about_others(search):
    folder, history, _ = search
    with pytest.raises(InputError, match="all validation proteins are of one family"):
        validation_of(folder, history, write_labels(folder / "one.parquet", ["a", "a", "a"]))
