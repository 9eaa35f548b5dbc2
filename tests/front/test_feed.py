"""Trials as they arrive: from histories of simulated searches, as jobs leave them."""

import re
from dataclasses import replace

import pytest
from simulation import simulate, write_history
from workflow import study

from tmelt.front.feed import Feed
from tmelt.front.words import arrival_line, best_search, progress_line
from tmelt.search.history import History
from tmelt.study.config import parse_config
from tmelt.study.stage import Stages

LAST = 9


@pytest.fixture
def config():
    strategies = {"random": {"kind": "random"}, "bo": {"kind": "bo"}}
    return parse_config(study(strategies=strategies, iterations=LAST))


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def score(results, config, strategy, *iterations, history=None):
    """Write the histories up to these trials."""
    for last in iterations:
        folder = results / config.study / strategy / "t0" / f"i{last}"
        folder.mkdir(parents=True, exist_ok=True)
        write_history(folder / "history.parquet", History((history or simulate(strategy, LAST))[: last + 1]))


def test_each_trial_arrives_once_and_in_order(results, config):
    feed, seen = Feed(config, results), []
    assert feed.poll() == []
    for last in range(LAST + 1):
        score(results, config, "random", last)
        seen += [arrival.row["iteration"] for arrival in feed.poll()]
    assert seen == list(range(LAST + 1)) and feed.poll() == []
    assert (feed.done, feed.left, feed.planned) == (LAST + 1, LAST + 1, 2 * LAST + 2)


@pytest.mark.parametrize("there", range(LAST + 1))
def test_what_is_there_already_is_read_at_once(results, config, there):
    """Every length, because the newest history is searched for by doubling steps."""
    score(results, config, "bo", *range(there + 1))
    assert [arrival.row["iteration"] for arrival in Feed(config, results).poll()] == list(range(there + 1))


def test_best_so_far_and_spend_are_those_of_the_history(results, config):
    history = simulate("bo", LAST)
    score(results, config, "bo", *range(LAST + 1))
    feed = Feed(config, results)
    arrivals = feed.poll()
    assert best_search(feed.searches).best == History(history).incumbent.val_mae
    assert feed.spent().cpu_h == pytest.approx(sum(trial.cpu_s or 0 for trial in history) / 3600)
    assert feed.failed() == sum(trial.status != "ok" for trial in history)
    kept = [arrival for arrival in arrivals if arrival.row["decision"] == "keep"]
    assert kept, "the simulated search keeps nothing"
    for arrival in kept:
        line = arrival_line(arrival, feed.target)
        assert f"trial {arrival.row['iteration']}/{LAST}" in line
        assert f"kept, was {arrival.best_before:.2f}" in line and arrival.row["val_mae"] < arrival.best_before


def test_a_stopped_search_expects_no_more_trials_and_says_why(results, config):
    trials = list(simulate("bo", LAST))
    stop = replace(trials[4], status="stopped", error="the budget of $1\nis \x1b[2J spent", val_mae=None)
    score(results, config, "bo", *range(5), history=[*trials[:4], stop])
    feed = Feed(config, results)
    line = arrival_line(feed.poll()[-1], feed.target)
    assert "stopped after 4 trials: the budget of $1 is \\x1b[2J spent" in line
    assert feed.left == LAST + 1  # of the other search


def test_a_failed_trial_shows_its_last_words_without_control_characters(results, config):
    trials = list(simulate("bo", LAST))
    failed = replace(trials[2], status="crash", val_mae=None, error="Traceback\nValueError: \x1b]0;owned\x07 bad")
    score(results, config, "bo", *range(3), history=[*trials[:2], failed])
    feed = Feed(config, results)
    line = arrival_line(feed.poll()[-1], feed.target)
    assert "crash: ValueError: \\x1b]0;owned\\x07 bad" in line and "\x1b" not in line


def test_progress_names_the_stage_the_best_and_the_limit(results, config):
    feed, stages = Feed(config, results), Stages(config, results)
    assert progress_line(feed, stages.now(0, feed.left), None) == "preparing proteins"
    score(results, config, "bo", *range(LAST + 1))
    feed.poll()
    assert "searches end about" in progress_line(feed, stages.now(feed.done, feed.left), None)
    feed.forget_pace()
    line = progress_line(feed, stages.now(feed.done, feed.left), 5.0)
    assert line.startswith(f"trials {LAST + 1} of {2 * LAST + 2} · best ")
    assert "of at most $5.00" in line and "searches end" not in line  # nothing has arrived in this run
    assert re.search(r"best \d+\.\d\d °C \(bo t0\)", line)


def test_the_work_after_the_searches_is_a_stage_of_its_own(results, config):
    stages = Stages(config, results)
    assert stages.now(20, 0).words() == "choosing winners"
    (stages.study / "report").mkdir(parents=True)
    (stages.study / "report" / "report.html").touch()
    assert stages.now(20, 0).words() == "report finished"
