"""The search as autoresearch's results.tsv."""

import sys
from dataclasses import replace

import polars as pl
import pytest
from simulation import Landscape, outcome, simulate

from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Space
from tmelt.search.ledger import write_ledger
from tmelt.storage.schema import TRIAL, read_table, write_table
from tmelt.study.protocol import REFERENCE


def test_ledger(tmp_path):
    history = simulate("random", 25, landscape=Landscape(Space(), seed=3, failing=0.3))
    talkative = Proposal(
        knobs=Space().defaults() | {"depth": 2},
        script="# candidate\n",
        origin="agent",
        rationale="deeper:\n\ttwo blocks " + "x" * 300,
    )
    history = outcome(history, talkative, Landscape(Space(), floor=1.0))
    refused = replace(talkative, status="refused", error="no legal proposal", rationale="")
    history = outcome(history, refused, Landscape(Space()))
    write_ledger(tmp_path / "results.tsv", history)

    text = (tmp_path / "results.tsv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "commit\tval_mae\tmemory_gb\tstatus\tdescription"
    assert all(line.count("\t") == 4 for line in text.splitlines())
    table = pl.read_csv(tmp_path / "results.tsv", separator="\t", quote_char=None)
    assert len(table) == len(history) == 28
    assert table["commit"].to_list() == [trial.chain[:7] for trial in history]
    assert table["val_mae"].to_list() == [trial.val_mae for trial in history]  # null, not 0, for a crash
    assert table["memory_gb"].to_list() == [0.6] * 27 + [None]
    for trial, row in zip(history, table.iter_rows(named=True), strict=True):
        if not trial.ok:
            assert row["status"] == "crash"
            assert row["description"].endswith(f"({trial.status})")
        else:
            assert row["status"] == ("keep" if trial.incumbent == trial.iteration else "discard")
            assert row["description"].endswith("(inconclusive)") == (trial.decision == "inconclusive")
    assert table["description"][0] == "baseline"
    assert table["status"][26] == "keep"
    assert table["description"][26].startswith("deeper: two blocks xxx")
    assert len(table["description"][26]) == 200


def test_an_empty_search_has_a_header(tmp_path):
    write_ledger(tmp_path / "results.tsv", History())
    assert (tmp_path / "results.tsv").read_text(encoding="utf-8").count("\n") == 1


def test_the_gathered_trials_come_last(tmp_path):
    """Their existence ends the search for Snakemake: a job killed on its way must leave them out, not the ledger."""
    sys.path.append(str(REFERENCE.parents[2] / "scripts"))
    from gather_trajectory import gather_trajectory

    history = simulate("random", 2)
    write_table(tmp_path / "i2" / "history.parquet", [dict(trial.row) for trial in history], TRIAL)
    (tmp_path / "results.tsv").mkdir()  # the ledger cannot be written
    with pytest.raises(OSError):
        gather_trajectory(
            trajectory=tmp_path, iterations=2, trials=tmp_path / "trials.parquet", ledger=tmp_path / "results.tsv"
        )
    assert not (tmp_path / "trials.parquet").exists()
    (tmp_path / "results.tsv").rmdir()
    gather_trajectory(
        trajectory=tmp_path, iterations=2, trials=tmp_path / "trials.parquet", ledger=tmp_path / "results.tsv"
    )
    assert len(read_table(tmp_path / "trials.parquet", TRIAL)) == 3
