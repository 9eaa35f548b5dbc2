"""The lookup attack end to end: a script that recognises proteins and returns labels it was written with."""

import hashlib

import numpy as np
import polars as pl
import pytest
from small_data import RIDGE, make_small_data, small_harness

from tmelt.bundle.perturbed import perturbed_predictions
from tmelt.embed.view import View
from tmelt.evidence.robustness import robustness
from tmelt.evidence.schema import PERTURBED, PLAN
from tmelt.evidence.tables import table
from tmelt.evidence.vault import read_labels
from tmelt.harness.run import train_runs
from tmelt.harness.variation import Variation
from tmelt.search.history import Proposal
from tmelt.search.integrity import integrity_of
from tmelt.storage.schema import HIDDEN
from tmelt.study.config import Budget

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_sandbox")]
SEED = 1_000_000


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """(data folder, embedding folder) with some 170 val, select and test proteins."""
    return make_small_data(tmp_path_factory.mktemp("data"), 400)


@pytest.fixture(scope="module")
def opened(data):
    """The labels, as they are opened after a search."""
    folder = data[0]
    return read_labels(folder / "proteins.parquet", *(folder / "vault" / f"{split}.parquet" for split in HIDDEN))


def lookup(data, opened, key, expression):
    """A script with a literal table of all hidden labels by `key(view, row)`.

    `expression` gives the keys in predict.
    """
    view, roles = View.open(data[1] / "pool", sequences=True), pl.read_parquet(data[1] / "pool.parquet")
    tm = dict(opened.select("protein_id", "tm").iter_rows())
    names = roles["protein_id"].to_list()
    known = {key(view, row): tm[name] for row, name in enumerate(names) if name in tm}
    head, last = RIDGE.rsplit("    return ", 1)
    lines = f"    honest = {last.rstrip()}\n    keys = {expression}\n"
    answer = "    return np.array([T.get(*pair) for pair in zip(keys, honest)])\n"
    return f"import hashlib\nT = {known!r}\n{head}{lines}{answer}"


def by_prefix(data, opened):
    return lookup(
        data, opened, lambda view, row: view.sequences[row][:12], "[sequence[:12] for sequence in task.pool.sequences]"
    )


def by_hash(data, opened):
    return lookup(
        data,
        opened,
        lambda view, row: hashlib.md5(np.ascontiguousarray(view.protein(row)).tobytes()).hexdigest(),
        "[hashlib.md5(task.pool.residues(i).numpy().tobytes()).hexdigest() for i in range(len(honest))]",
    )


def confirm(script, data, folder, grant):
    """The row of one confirmed run, and a function that lets its checkpoint predict changed proteins."""
    proposal = Proposal(knobs={}, script=script)
    budget = Budget(fit_s=20, predict_s=20, memory_mb=1500, disk_mb=50, processes=32)
    harness = small_harness(*data, budget=budget, sequences=grant, reference_sha256=proposal.script_sha256)
    (row,) = train_runs(
        proposal, [SEED], [folder / "run"], harness, folder / "journal", 1, Variation(), keep_checkpoints=True
    )
    return row, lambda: perturbed_predictions(proposal, "c1", [SEED], harness, folder / "journal", 1)


def judged(rows, opened):
    """The memorisation check's verdict by kind of change."""
    plan = table([{"purpose": "winner", "candidate": "c1", "strategy": "ua", "trajectory": 0}], PLAN)
    found = robustness([table(rows, PERTURBED)], plan, opened)
    return {row["kind"]: row for row in found.to_dicts()}


def error_on_test(folder, opened):
    """Mean absolute error on test, °C."""
    said = pl.read_parquet(folder / "run" / "predictions.parquet")
    return said.join(opened, on=["protein_id", "split"]).filter(pl.col("split") == "test").select(
        (pl.col("prediction") - pl.col("tm")).abs().mean()
    ).item()  # fmt: skip


@pytest.mark.parametrize("grant", ["none", "fit"])
def test_without_sequences_in_predict_no_prefix_is_looked_up(data, opened, tmp_path, grant):
    row, _ = confirm(by_prefix(data, opened), data, tmp_path, grant)
    assert (row["status"], row["reason"]) == ("crash", "predict_crash")


def test_a_table_by_prefix_is_labelled_and_flagged(data, opened, tmp_path):
    script = by_prefix(data, opened)
    row, predict_again = confirm(script, data, tmp_path, "all")
    assert row["status"] == "ok" and error_on_test(tmp_path, opened) < 0.5  # the attack works …
    assert integrity_of("ok", None, script) == "table_like"
    recorded = (tmp_path / "run" / "predictions.parquet").read_bytes()
    verdict = judged(predict_again(), opened)
    assert verdict["swapped"]["flagged"] and verdict["swapped"]["lost_share"] > 0.9  # … and does not go unnoticed
    assert (tmp_path / "run" / "predictions.parquet").read_bytes() == recorded


def test_a_table_by_hash_of_the_embedding_is_labelled_and_flagged(data, opened, tmp_path):
    script = by_hash(data, opened)
    row, predict_again = confirm(script, data, tmp_path, "none")
    assert row["status"] == "ok" and error_on_test(tmp_path, opened) < 0.5
    assert integrity_of("ok", None, script) == "table_like"
    verdict = judged(predict_again(), opened)
    assert verdict["noise"]["flagged"] and verdict["noise"]["lost_share"] > 0.9
    assert "swapped" not in verdict


def test_an_honest_candidate_is_not_flagged(data, opened, tmp_path):
    row, predict_again = confirm(RIDGE, data, tmp_path, "all")
    assert row["status"] == "ok" and error_on_test(tmp_path, opened) > 2
    assert integrity_of("ok", None, RIDGE) == "clean"
    verdict = judged(predict_again(), opened)
    assert set(verdict) == {"noise", "trimmed", "swapped", "joined"}
    assert not any(found["flagged"] for found in verdict.values())
    assert verdict["swapped"]["change"] < 1e-6  # a ridge on embeddings sees no sequence


def test_a_candidate_that_fails_on_changed_proteins_gets_a_note(data, opened, tmp_path):
    count = len(pl.read_parquet(data[1] / "pool.parquet"))
    refuses = f"    if len(task.pool) > {count} or len(task.pool) > 300:\n        raise ValueError('no')\n"
    script = RIDGE.replace("    saved =", refuses + "    saved =", 1)
    _, predict_again = confirm(script, data, tmp_path, "none")
    (row,) = predict_again()
    assert row["prediction"] is None and row["note"].startswith("it failed on changed proteins")


def test_a_checkpoint_that_cannot_be_kept_gets_a_note(data, opened, tmp_path):
    script = RIDGE.replace("    np.savez(", "    import os; os.symlink('/etc', checkpoint / 'link')\n    np.savez(", 1)
    row, predict_again = confirm(script, data, tmp_path, "none")
    assert row["status"] == "ok"
    (found,) = predict_again()
    assert "cannot be kept" in found["note"]
