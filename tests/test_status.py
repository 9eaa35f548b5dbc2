"""Where a study stands, from its files: histories of simulated searches, logs and Snakemake's notes as they lie."""

import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from dataclasses import replace

import polars as pl
import pytest
import yaml
from simulation import simulate, write_history
from workflow import study

from tmelt.front.feed import Feed
from tmelt.front.words import arrival_line
from tmelt.jobs.amounts import plan_name
from tmelt.jobs.failed_jobs import describe_failures, describe_full_disk
from tmelt.search.history import History
from tmelt.search.notes import Ended, UsedUp, notes_to_json
from tmelt.storage.files import write_json
from tmelt.strategies.stop import UNUSABLE
from tmelt.study.config import parse_config
from tmelt.study.lock import hold
from tmelt.study.status import report, study_status
from tmelt.watch.state import Reader

NOW = 1_700_000_000.0


@pytest.fixture
def config():
    """Five trials of random search."""
    return parse_config(study(strategies={"random": {"kind": "random"}}, iterations=4))


@pytest.fixture
def results(tmp_path, config):
    """Three of them are scored, one a minute."""
    folder = tmp_path / "results"
    for last in range(3):
        trial = folder / config.study / "random" / "t0" / f"i{last}"
        trial.mkdir(parents=True)
        write_history(trial / "history.parquet", simulate("random", last))
        (trial / "trial.parquet").touch()
        os.utime(trial / "trial.parquet", (NOW - 60 * (3 - last),) * 2)
    return folder


def begin_training(results, config, log: str = ""):
    """Trial 3 is proposed, and its training was begun; returns the log."""
    trial = results / config.study / "random" / "t0" / "i3"
    (trial / "s0").mkdir(parents=True)
    for name in ("propose.log", "proposal.json"):
        (trial / name).touch()
    (trial / "train_trial.log").write_text(log)
    notes = results.parent / ".snakemake" / "incomplete"
    notes.mkdir(parents=True)
    product = str((trial / "s0" / "run.parquet").relative_to(results.parent))
    (notes / urlsafe_b64encode(product.encode()).decode()).touch()
    return trial / "train_trial.log"


def test_nothing_has_begun(tmp_path, config):
    said = report(config, tmp_path / "results", NOW)
    assert "0 of 5 trials" in said
    assert "not running" in said


def test_scored_trials_are_counted_and_the_incumbent_named(results, config):
    (search,) = study_status(config, results)
    history = simulate("random", 2)
    assert (search.trials, search.planned) == (3, 5)
    assert search.incumbent == history.incumbent.iteration
    assert search.val_mae == history.incumbent.val_mae
    assert search.llm_usd == sum(trial.cost_usd for trial in history)
    assert search.running == search.failed == ()


def test_integrity_labels_are_counted_where_a_trial_is_not_clean(results, config):
    assert "integrity" not in report(config, results, NOW)
    history = simulate("random", 2)
    labels = ("clean", "table_like", "not_row_wise")
    history = History([replace(trial, integrity=label) for trial, label in zip(history, labels, strict=True)])
    write_history(results / config.study / "random" / "t0" / "i2" / "history.parquet", history)
    (search,) = study_status(config, results)
    assert search.integrity == (("table_like", 1), ("not_row_wise", 1))
    assert "integrity random t0: table_like 1 of 3, not_row_wise 1 of 3" in report(config, results, NOW)


def test_a_begun_training_is_running(results, config):
    begin_training(results, config)
    (search,) = study_status(config, results)
    assert search.running == ("train_trial i3",)
    assert search.failed == ()


def test_a_failed_training_is_shown_with_its_reason(results, config):
    begin_training(results, config, "error: results/x: delete it and run again\n")
    (search,) = study_status(config, results)
    assert search.failed == ("train_trial i3: error: results/x: delete it and run again",)
    assert "delete it and run again" in report(config, results, NOW)


def test_the_end_is_estimated_by_the_pace_of_a_running_study(results, config):
    snakemake = results.parent / ".snakemake" / "locks"
    snakemake.mkdir(parents=True)
    (snakemake / "0.input.lock").touch()  # another study's
    assert "not running" in report(config, results, NOW)
    lock = hold(results / config.study, config.study)
    assert "in 3 min" in report(config, results, NOW)  # two trials left; two took three minutes until now
    assert "running: process" in report(config, results, NOW)
    lock.release()
    assert "not running" in report(config, results, NOW)


def test_evidence_that_still_runs_is_not_called_done(results, config):
    done = parse_config(study(strategies={"random": {"kind": "random"}}, iterations=2))
    lock = hold(results / config.study, config.study)
    assert report(done, results, NOW).splitlines()[-2] == "all searches are done; now: choosing winners"
    plan = pl.DataFrame({"candidate": ["c1", "c2", "c2"], "purpose": ["winner"] * 3})
    confirm = results / config.study / "confirm"
    (confirm / "c2").mkdir(parents=True)
    plan.write_parquet(confirm / plan_name(done))
    assert "now: retraining candidates on fresh seeds 0 of 2" in report(done, results, NOW)
    (confirm / "c2" / "runs_c0.parquet").touch()
    assert "now: retraining candidates on fresh seeds 1 of 2" in report(done, results, NOW)
    assert report(done, results, NOW).splitlines()[-1].startswith("running: process")
    lock.release()
    (results / config.study / "report").mkdir()
    (results / config.study / "report" / "report.html").touch()
    assert report(done, results, NOW).splitlines()[-1] == "all searches are done"


def test_a_failed_run_ends_with_the_words_of_its_jobs(results, config):
    log = begin_training(results, config, "error: results/x: delete it and run again\n")
    assert str(log) in describe_failures([results], since=0)
    assert "delete it and run again" in describe_failures([results], since=0)
    assert describe_failures([results], since=log.stat().st_mtime + 1) == ""


def test_a_disk_with_room_is_not_called_full(tmp_path):
    assert describe_full_disk(tmp_path) == ""
    assert describe_full_disk(tmp_path / "nothing") == ""


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
    ids=["ascii", "C"],
)
def test_it_is_shown_on_any_terminal(results, config, environment):
    (results.parent / "study.yaml").write_text(yaml.safe_dump(study(strategies={"random": {"kind": "random"}})))
    command = [sys.executable, "-m", "tmelt", "status", results.parent / "study.yaml"]
    done = subprocess.run(
        [*command, "--results", results], env=os.environ | environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"smallest: 2 of 2 trials" in done.stdout and b"\\xb0C" in done.stdout


def test_a_used_budget_is_an_end_as_planned(results):
    """The planned trials are the most while it is open; when it is used, no stop is told and nothing is left."""
    raw = study(strategies={"random": {"kind": "random"}}, iterations=4)
    raw["extent"]["until"] = {"device_s": 90}
    config = parse_config(raw)
    said = report(config, results, NOW)
    assert "3 of at most 5 trials" in said and "3/≤5" in said
    assert "each search goes on until it has used 90 CPU core seconds, for 4 trials at most" in said
    history = simulate("random", 3)
    stop = replace(history[3], status="stopped", error="used 91 CPU core seconds of 90 CPU core seconds")
    folder = results / config.study / "random" / "t0" / "i3"
    folder.mkdir()
    write_history(folder / "history.parquet", History([*history[:3], stop]))
    for used in (91.0, None):
        write_json(folder / "proposal.json", {"state": notes_to_json([UsedUp(unit="device_s", limit=90, used=used)])})
        (search,) = study_status(config, results)
        said = report(config, results, NOW)
        alerts = Reader(config, results).read().alerts
        assert search.budget_used == (used is not None)
        assert ("3 of 3 trials" in said and "3, budget used" in said) == (used is not None)
        assert ("budget used random t0: used 91" in said) == (used is not None)
        assert any("random t0 stopped" in alert for alert in alerts) == (used is None), "an unknown price is a stop"
    write_json(folder / "proposal.json", {"state": notes_to_json([UsedUp(unit="device_s", limit=90, used=91.0)])})
    arm = Reader(config, results).read().arms[0]
    assert (arm.state, arm.trials) == ("budget used", "3, budget used")
    feed = Feed(config, results)
    assert "budget used after 3 trials: used 91" in arrival_line(feed.poll()[-1], feed.target)


def test_a_search_with_unusable_replies_was_not_tried(results, config):
    """The stop and its cause are in the history and in the proposal."""
    history = simulate("random", 3)
    stop = replace(history[3], status="stopped", error="20 replies in a row could not be used")
    history = History([*history[:3], stop])
    folder = results / config.study / "random" / "t0" / "i3"
    folder.mkdir()
    write_history(folder / "history.parquet", history)
    for state, words in (
        ([Ended(cause=UNUSABLE)], "not tried random t0: 20 replies"),
        ([], "stopped   random t0: 20 replies"),
    ):
        write_json(folder / "proposal.json", {"status": "stopped", "state": notes_to_json(state)})
        (search,) = study_status(config, results)
        assert search.not_tried == bool(state)
        assert words in report(config, results, NOW)
