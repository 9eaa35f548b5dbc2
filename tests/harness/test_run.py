"""Runs in the real sandbox: what a candidate does ends in a row, and an honest one is measured right."""

import shutil
import sys

import numpy as np
import polars as pl
import pytest
from small_data import RIDGE, small_harness

from tmelt.errors import InfrastructureError, InputError
from tmelt.harness.run import train_runs
from tmelt.harness.sandbox import backends
from tmelt.harness.variation import Variation
from tmelt.search.history import Proposal
from tmelt.search.knobs import Space
from tmelt.search.scoring import validation_errors
from tmelt.storage.schema import LABELS, PREDICTIONS, RUN, read_table
from tmelt.study.config import Budget
from tmelt.study.protocol import REFERENCE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_sandbox")]


def train(script, small, tmp_path, seeds=(0,), variation=None, knobs=None, **changes):
    """Rows of the runs of a script; files under tmp_path/s{seed}."""
    return train_runs(
        Proposal(knobs=knobs or {}, script=script),
        list(seeds),
        [tmp_path / f"s{seed}" for seed in seeds],
        small_harness(*small, **changes),
        tmp_path / "journal",
        2,
        variation or Variation(),
    )


def test_an_honest_candidate_is_measured(small, tmp_path, own_sandbox):
    data, embedding = small
    (row,) = train(RIDGE, small, tmp_path)
    assert row["status"] == "ok"
    assert read_table(tmp_path / "s0" / "run.parquet", RUN).row(0, named=True) == row
    assert "ridge is fitted" in (tmp_path / "s0" / "log.txt").read_text()
    found = read_table(tmp_path / "s0" / "predictions.parquet", PREDICTIONS)
    labels = read_table(data / "vault" / "val.parquet", LABELS)
    # The same arithmetic here, from the views themselves: shuffling and unshuffling lost nothing.
    offsets = np.load(embedding / "fit" / "offsets.npy")
    residues = np.fromfile(embedding / "fit" / "residues.f16", "<f2").reshape(offsets[-1], -1).astype(float)
    x = np.add.reduceat(residues, offsets[:-1]) / np.diff(offsets)[:, None]
    is_fit = ~np.load(embedding / "fit" / "is_stop.npy")
    y = np.load(embedding / "fit" / "tm.npy")
    centre = x[is_fit].mean(0)
    w = np.linalg.solve(
        (x[is_fit] - centre).T @ (x[is_fit] - centre) + 1e-2 * np.eye(x.shape[1]),
        (x[is_fit] - centre).T @ (y[is_fit] - y[is_fit].mean()),
    )
    assert row["stop_mae"] == pytest.approx(
        np.abs((x[~is_fit] - centre) @ w + y[is_fit].mean() - y[~is_fit]).mean(), abs=0.02
    )
    index = pl.read_parquet(embedding / "pool.parquet")
    told = index.filter(pl.col("role").is_in(["stop", "val", "select", "test"]))
    assert set(found["protein_id"]) == set(told["protein_id"])
    assert 0 < validation_errors(tmp_path / "s0" / "predictions.parquet", labels).mean() < 30


def test_a_finished_run_is_never_trained_again(small, tmp_path):
    (first,) = train(RIDGE, small, tmp_path)
    # A sandbox that does not exist: nothing may be started for a run that the journal has.
    (again,) = train(RIDGE, small, tmp_path, sandbox="nonsense")
    assert again == first
    rows = train(RIDGE, small, tmp_path, seeds=(0, 1))
    assert rows[0] == first
    assert rows[1]["seed"] == 1


def test_the_reference_script_is_reproducible_to_the_byte(small, tmp_path):
    knobs = Space().complete(
        {"width": 64, "feed_forward": 256, "head_width": 128, "epochs": 5, "heads": 2, "pooling": "attention"}
    )
    for name in ("a", "b"):
        (row,) = train(REFERENCE.read_text(), small, tmp_path / name, knobs=knobs)
        assert row["status"] == "ok", (tmp_path / name / "s0" / "log.txt").read_text()
    first, second = (pl.read_parquet(tmp_path / name / "s0" / "predictions.parquet") for name in ("a", "b"))
    assert first.equals(second)


@pytest.mark.parametrize(
    ("fit_line", "status", "word"),
    [
        ("raise RuntimeError('no idea')", "crash", "no idea"),
        ("os._exit(3)", "crash", ""),
        ("time.sleep(60)", "timeout", ""),
        ("x = [(bytearray(b'x') * (90 << 20), time.sleep(0.1)) for _ in range(20)]", "oom", ""),
        ("open(checkpoint / 'big', 'wb').write(bytes(80 << 20)); time.sleep(3)", "disk", ""),
    ],
)
def test_failures_are_told_apart(small, tmp_path, fit_line, status, word):
    script = RIDGE.replace("    x = task.fit", f"    import os, time\n    {fit_line}\n    x = task.fit", 1)
    budget = Budget(fit_s=4, predict_s=10, memory_mb=1000, disk_mb=50, processes=32)
    (row,) = train(
        script, small, tmp_path, budget=budget, reference_sha256=Proposal(knobs={}, script=script).script_sha256
    )
    assert row["status"] == status, (row, (tmp_path / "s0" / "log.txt").read_text())
    assert word in (tmp_path / "s0" / "log.txt").read_text()
    assert len(read_table(tmp_path / "s0" / "predictions.parquet", PREDICTIONS)) == 0


def test_a_broken_contract_fails_its_rehearsal(small, tmp_path):
    rows = train("def fit(task, knobs, checkpoint):\n    1 / 0\n", small, tmp_path, seeds=(0, 1))
    assert {(row["status"], row["reason"]) for row in rows} == {("crash", "rehearsal")}
    assert "ZeroDivisionError" in (tmp_path / "s1" / "log.txt").read_text()


def test_variations_train_on_fewer_proteins(small, tmp_path):
    script = RIDGE.replace('print("ridge', 'print(len(task.fit), len(task.stop), "ridge')
    counts = {}
    for name, variation in {
        "all": Variation(),
        "half": Variation(fit_fraction=0.5),
        "without": Variation(without_organism="synthetic organism 1"),
    }.items():
        train(script, small, tmp_path / name, variation=variation)
        counts[name] = [int(word) for word in (tmp_path / name / "s0" / "log.txt").read_text().split()[:2]]
    assert counts["half"] == [round(counts["all"][0] / 2), counts["all"][1]]
    assert counts["without"][0] < counts["all"][0]


def test_a_truncated_cache_is_no_candidates_fault(small, tmp_path):
    data, embedding = small
    copy = tmp_path / "embedding"
    shutil.copytree(embedding, copy)
    with (copy / "pool" / "residues.f16").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(InfrastructureError, match=r"residues\.f16: not as it was written; delete"):
        train(RIDGE, (data, copy), tmp_path)


@pytest.mark.parametrize("place", ["system", "python", "home"])
def test_a_study_inside_what_every_sandbox_shows_is_refused(small, tmp_path, monkeypatch, place):
    """A checkout below /usr, an environment made around the study, a Python with the prefix $HOME: all are readable."""
    data, _ = small
    if place == "system":
        monkeypatch.setattr(backends, "SYSTEM", ("/usr", str(data.parent)))
    elif place == "python":
        monkeypatch.setattr(sys, "prefix", str(data.parent))
    else:
        monkeypatch.setenv("HOME", sys.prefix)
    with pytest.raises(InputError, match="which candidates may read"):
        train(RIDGE, small, tmp_path)
    assert not (tmp_path / "s0").exists()
