"""Trials go to real trackers, each once, and a tracker that fails is one line."""

import importlib.util
from types import SimpleNamespace

import pytest
from needs import need
from simulation import simulate, write_history
from workflow import study

from tmelt.errors import InputError
from tmelt.front.feed import Feed
from tmelt.search.history import History
from tmelt.study.config import parse_config
from tmelt.track import TRACKERS, check_tracker
from tmelt.track.sender import Sender, metrics_of

LAST = 5


@pytest.fixture
def running(tmp_path):
    """A study with two searches, of which `score` writes the trials."""
    config = parse_config(study(strategies={"random": {"kind": "random"}, "bo": {"kind": "bo"}}, iterations=LAST))
    history = simulate("random", LAST)
    feed, said = Feed(config, tmp_path), []

    def score(strategy, last):
        for iteration in range(last + 1):
            folder = tmp_path / config.study / strategy / "t0" / f"i{iteration}"
            folder.mkdir(parents=True, exist_ok=True)
            write_history(folder / "history.parquet", History(history[: iteration + 1]))

    def send(name, arrivals):
        sender = Sender(name, config.study, tmp_path / config.study, said.append)
        for arrival in arrivals:
            sender.put(arrival)
        sender.close()

    return SimpleNamespace(
        config=config,
        feed=feed,
        score=score,
        send=send,
        said=said,
        history=history,
        study=config.study,
        folder=tmp_path / config.study,
    )


@pytest.fixture(scope="module")
def trackio(tmp_path_factory):
    """Trackio with a database of these tests; it reads where that is when it is imported."""
    need(importlib.util.find_spec("trackio"), "no trackio: make test installs it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(tmp_path_factory.mktemp("trackio")))
        from trackio.sqlite_storage import SQLiteStorage

        yield SQLiteStorage


def in_trackio(storage, project):
    """{search: {step: val_mae}} and {search: {step: best_val_mae}} of a project."""
    logs = {run: storage.get_logs(project, run) for run in storage.get_runs(project)}
    return tuple(
        {run: {each["step"]: each[name] for each in found if name in each} for run, found in logs.items()}
        for name in ("val_mae", "best_val_mae")
    )


def in_mlflow(folder, project):
    """The same from MLflow's database."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name(project).experiment_id])
    return tuple(
        {
            run.info.run_name: {each.step: each.value for each in client.get_metric_history(run.info.run_id, name)}
            for run in runs
        }
        for name in ("val_mae", "best_val_mae")
    )


def expected(history, last):
    best = [history[trial.incumbent].val_mae for trial in history[: last + 1]]
    errors = {trial.iteration: trial.val_mae for trial in history[: last + 1] if trial.val_mae is not None}
    return errors, dict(enumerate(best))


def go_on(running, name):
    """Two runs of a study: the second sees the trials of the first again, and sends what is new."""
    running.score("random", 2)
    running.send(name, running.feed.poll())
    running.score("random", LAST)
    running.score("bo", 1)
    running.send(name, Feed(running.config, running.folder.parent).poll())


@pytest.mark.slow
def test_trackio_has_each_trial_once(running, trackio):
    go_on(running, "trackio")
    errors, best = in_trackio(trackio, running.study)
    assert (errors["random/t0"], best["random/t0"]) == expected(running.history, LAST)
    assert (errors["bo/t0"], best["bo/t0"]) == expected(running.history, 1)
    assert len(trackio.get_logs(running.study, "random/t0")) == LAST + 1
    assert running.said == []


@pytest.mark.slow
def test_mlflow_has_each_trial_once(running):
    pytest.importorskip("mlflow", reason="MLflow is in no lock, because it takes 90 MB: pip install mlflow-skinny")
    go_on(running, "mlflow")
    errors, best = in_mlflow(running.folder, running.study)
    assert (errors["random/t0"], best["random/t0"]) == expected(running.history, LAST)
    assert (errors["bo/t0"], best["bo/t0"]) == expected(running.history, 1)
    assert running.said == []


def test_metrics_are_numbers_and_none_of_test(running):
    running.score("random", LAST)
    found = [metrics_of(arrival) for arrival in running.feed.poll()]
    assert all(isinstance(value, float) for metrics in found for value in metrics.values())
    assert {"val_mae", "best_val_mae", "failed", "cpu_s", "knob/learning_rate"} <= found[0].keys()
    assert not [name for metrics in found for name in metrics if "test" in name or "select" in name]


def test_a_tracker_that_fails_is_said_once(running, monkeypatch):
    def refuse(study, folder):
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(TRACKERS, "trackio", refuse)
    running.score("random", LAST)
    running.send("trackio", running.feed.poll())
    (line,) = running.said
    assert "ConnectionError: no route" in line and "the study goes on" in line and "\n" not in line
    assert not (running.folder / "logs" / "feed_trackio.json").exists()


def test_an_unknown_or_missing_tracker_is_one_line(monkeypatch):
    with pytest.raises(InputError, match="no tracker 'wandb'; expected one of trackio, mlflow"):
        check_tracker("wandb")
    monkeypatch.setattr("tmelt.track.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"mlflow is not installed; pip install 'tmelt\[mlflow\]'"):
        check_tracker("mlflow")
