"""The history as an agent sees it: complete while it is short, within its budget and exact where it is long."""

import json
import re
import statistics
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
from searching import SCRIPT, context_for, prompt_of
from simulation import Landscape, outcome, simulate

from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Knob, Space
from tmelt.strategies import propose
from tmelt.strategies.coarse import coarse, step_of, told_mae, told_margin
from tmelt.strategies.memory import TOKENS_MIN, remember
from tmelt.strategies.random import draw
from tmelt.strategies.tokens import estimate_tokens

ERRORS = (
    "RuntimeError: CUDA out of memory at 0x7f3a, tried {n} MiB",
    'File "/tmp/x{n}/train.py", line 3\nFloatingPointError: epoch {n}: loss nan',
    "KeyError: 'ema_decay'",
)


@cache
def long_history(count: int = 1001) -> History:
    """A thousand trials, a third of them failed in three ways."""
    import numpy as np

    generator, landscape = np.random.default_rng(0), Landscape(Space(), failing=0.33)
    trials: list[Trial] = []
    for number in range(count):
        proposal = Proposal(draw(Space(), generator), SCRIPT, hypothesis=f"idea {number} | with a bar\nand a line")
        history = outcome(History(trials[-1:] and [_renumbered(trials[-1], 0)]), proposal, landscape)
        row = {**history[-1].row, "iteration": number}
        if row["status"] == "crash":
            row["error"] = ERRORS[number % 3].format(n=number)
        ok = [trial for trial in trials if trial.ok] + ([Trial.of(row)] if row["status"] == "ok" else [])
        row["incumbent"] = min(ok, key=lambda trial: trial.val_mae).iteration if ok else None
        trials.append(Trial.of(row))
    return History(trials)


def _renumbered(trial: Trial, number: int) -> Trial:
    return Trial.of({**trial.row, "iteration": number, "incumbent": 0 if trial.ok else None})


@pytest.mark.parametrize("tokens", [TOKENS_MIN, 12_000, 40_000])
def test_a_thousand_trials_fit_the_budget(tokens):
    history = long_history()
    text = remember(history, Space(), base=history.incumbent.iteration, tokens=tokens, look_up=[3, 500, 999])
    assert tokens // 2 < estimate_tokens(text) <= tokens


def test_reports_curves_errors_and_look_ups_share_the_budget():
    """At 1,000 trials with everything that scripts and the harness tell of a trial."""
    groups = [[f"organism {place}", 40, 6.1, 0.3] for place in range(9)]
    errors = {
        "mae": 6.3, "bias": 0.2, "groups": groups, "tm": groups, "length": groups,
        "calibration": {"slope": 0.9, "sd_predicted": 7.0, "sd_measured": 9.0},
        "worst": [[f"protein {place}", "an organism", 300, 71.0, -14] for place in range(5)],
    }  # fmt: skip
    told = {
        "epochs": 12, "best_epoch": 9, "curve": [[epoch, 9.5] for epoch in range(8)], "stop_errors": errors,
        "reports": {f"statistic_{place}": 0.123 * place for place in range(40)},
    }  # fmt: skip
    bare = long_history()
    full = History([replace(trial, diagnostics=json.dumps(told) if trial.ok else None) for trial in bare])
    for tokens in (TOKENS_MIN, 12_000):
        for look_up in ([], [3, 500, 998, 999, 1000]):
            text = remember(
                full, Space(), base=full.incumbent.iteration, tokens=tokens, look_up=look_up,
                script_of=lambda number: SCRIPT,
            )  # fmt: skip
            assert tokens // 2 < estimate_tokens(text) <= tokens
            assert "### Reported by the scripts" in text and "### Errors on early-stopping proteins" in text


def test_the_table_keeps_its_rows_for_many_trials():
    """Between two choices a new trial adds a row and changes none: the beginning of the next prompt is the same."""

    def rows(count):
        history = History(long_history()[:count])
        text = remember(history, Space(), base=history.incumbent.iteration, tokens=30_000)
        return [line for line in text.split("\n\n[")[0].splitlines() if re.match(r"\| \d+ \|", line)]

    told = [rows(count) for count in range(602, 611)]
    kept = [after[: len(before)] == before for before, after in pairwise(told)]
    assert len(told[0]) > 30 and len(told[0]) < 602 and sum(kept) >= 6, kept


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ra", "ua"])
def test_the_whole_prompt_stays_bounded(kind, tmp_path):
    """What an agent is sent at 1,000 trials is what it is sent at 100, but for the history, which has its budget."""
    sizes = {}
    for count in (100, 1001):
        history = History(long_history()[:count])
        reply = json.dumps({"changes": {"dropout": 0.123, "warmup": 0.123}, "hypothesis": "h", "rationale": "r"})
        context = context_for(kind, tmp_path / str(count), history, {"tools": {}}, replies=[reply], bench=object())
        assert propose(history, context).status == "proposed"
        sizes[count] = estimate_tokens(prompt_of(context))
        memory = prompt_of(context).split("## History\n")[1].split("\n## ")[0]
        assert estimate_tokens(memory) <= 12_000
        print(f"{kind} at {count} trials: {sizes[count]} tokens, of them history {estimate_tokens(memory)}")
    assert sizes[1001] <= sizes[100] + 12_000


def test_counts_and_statistics_cover_every_trial_exactly():
    history = long_history()
    text = remember(history, Space(), base=history.incumbent.iteration, tokens=12_000)
    crashed = [trial for trial in history if not trial.ok]
    assert f"Trials so far: 1001 (numbers 0 to 1000): {1001 - len(crashed)} ok, {len(crashed)} crash." in text
    for knob in ("pooling", "loss", "batch_size"):
        line = re.search(rf"^- {knob}: (.*)$", text, re.MULTILINE)[1]
        for part in line.split("; "):
            value, counts = part.split(": ")
            having = [trial for trial in history if str(trial.knobs[knob]) == value]
            errors = [told_mae(trial) for trial in having if trial.ok]
            expected = [
                len(errors),
                len(having) - len(errors),
                f"{statistics.median(errors):.2f}",
                f"{min(errors):.2f}",
            ]
            assert counts.split() == [str(number) for number in expected]
    line = re.search(r"^- learning_rate: (.*)$", text, re.MULTILINE)[1]
    counted = [sum(map(int, part.split(": ")[1].split()[:2])) for part in line.split("; ")]
    assert sum(counted) == 1001


def test_the_best_and_the_most_recent_are_shown_whole():
    history = long_history()
    text = remember(history, Space(), base=history.incumbent.iteration, tokens=12_000)
    shown = [int(number) for number in re.findall(r"^\| (\d+) \| (?:\d|crash)", text, re.MULTILINE)]
    best = sorted(history.succeeded, key=lambda trial: (told_mae(trial), trial.iteration))
    assert shown == sorted(shown) and len(shown) >= 20
    assert {trial.iteration for trial in best[:8]} <= set(shown)
    assert set(range(993, 1001)) <= set(shown)
    row = next(line for line in text.splitlines() if line.startswith(f"| {best[0].iteration} |"))
    changed = {name for name, value in best[0].knobs.items() if history[0].knobs.get(name) != value}
    assert all(f"{name}=" in row for name in changed)


def test_failures_are_grouped_by_kind_and_message():
    history = long_history()
    text = remember(history, Space(), base=history.incumbent.iteration, tokens=12_000)
    failures = text.split("### Failures")[1].split("###")[0]
    groups = [int(number) for number in re.findall(r"^- (\d+) × crash", failures, re.MULTILINE)]
    assert len(groups) == 3 and sum(groups) == len(history.failed)
    assert failures.count("FloatingPointError") == 1


def test_looked_up_trials_are_shown_with_every_knob_exactly():
    history = long_history()
    text = remember(history, Space(), base=history.incumbent.iteration, tokens=12_000, look_up=[7, 500])
    for number in (7, 500):
        section = text.split(f"### Trial {number} in full")[1].split("\n###")[0]
        assert json.loads(re.search(r"^knobs: (.*)$", section, re.MULTILINE)[1]) == history[number].knobs


def test_a_short_history_is_shown_completely():
    history = simulate("random", 12, landscape=Landscape(Space(), failing=0.3))
    text = remember(history, Space(), base=0, tokens=12_000)
    shown = re.findall(r"^\| (\d+) \| (?:\d|crash)", text, re.MULTILINE)
    assert [int(number) for number in shown] == list(range(13))
    assert "in turn" not in text and "look_up" not in text


def test_refused_trials_count_as_refused_and_not_as_tries_of_their_knobs():
    history = simulate("random", 5)
    refused = Proposal(dict(history[2].knobs), SCRIPT, origin="agent", status="refused", error="no usable reply")
    history = outcome(history, refused, Landscape(Space()))
    text = remember(history, Space(), base=0, tokens=12_000)
    assert "1 refused" in text
    assert "over all 6 trials that ran" in text


def test_a_script_agent_sees_the_log_of_the_last_crash_and_differences_between_scripts():
    landscape = Landscape(Space())
    history = simulate("random", 2)
    other = SCRIPT + "\n# more\nVALUE = 1\n"
    history = outcome(history, Proposal(Space().defaults() | {"depth": 2}, other, origin="agent"),
                      replace(landscape, failing=1.0))  # fmt: skip
    scripts = {0: SCRIPT, 1: SCRIPT, 2: SCRIPT, 3: other}
    text = remember(history, Space(), base=0, tokens=12_000, look_up=[3], script_of=scripts.__getitem__)
    assert "### Trial 3: end of its log (crash)" in text
    assert "+VALUE = 1" in text
    plain = remember(history, Space(), base=0, tokens=12_000)
    assert "end of its log" not in plain


def test_a_name_that_two_scripts_give_to_knobs_of_different_kinds_is_counted_as_each_declares_it():
    history = simulate("random", 2)
    for value in ("soft", 0.0, 0.02):
        knobs = Space().defaults() | {"sharpness": value}
        history = outcome(history, Proposal(knobs, f"{SCRIPT}\n# {value}\n", origin="agent"), Landscape(Space()))
    space = Space().extended([Knob("sharpness", "float", 0.1, "of the softmax", 0.01, 1.0, log=True)])
    (line,) = re.findall(r"^- sharpness: (.*)$", remember(history, space, base=5, tokens=12_000), re.MULTILINE)
    assert [cell.split(": ")[0] for cell in line.split("; ")] == ["0.01…0.032", "0.0", "soft"]


def test_the_same_history_gives_the_same_text():
    history = long_history()
    rebuilt = History([Trial.of(json.loads(json.dumps(dict(trial.row)))) for trial in history])
    assert remember(history, Space(), base=3, tokens=9000) == remember(rebuilt, Space(), base=3, tokens=9000)


def test_tokens_are_never_counted_lower_than_their_parts():
    assert estimate_tokens("a" * 9) == 3
    assert estimate_tokens("12345") == 5
    assert estimate_tokens("°") == 2
    text = "val_mae=5.63, °C | x"
    assert estimate_tokens(text * 2) >= 2 * estimate_tokens(text) - 1


def test_errors_are_told_no_finer_than_the_noise():
    assert [step_of(margin) for margin in (None, 0.0, 0.1, 0.11, 0.4, 0.41, 0.9, 1.0, 1.01, 7.0)] == [
        5, 5, 5, 10, 20, 50, 50, 50, 100, 500,
    ]  # fmt: skip
    assert coarse(7.23, 0.0) == 7.25 and coarse(7.23, 0.9) == 7.0 and coarse(7.23, 0.3) == 7.2
    for margin in (0.03, 0.1, 0.37, 0.9, 1.4):
        assert step_of(margin) / 100 >= margin / 2
        told = told_margin(replace(long_history(2)[0], margin=margin))
        assert margin <= told < margin + step_of(margin) / 100


@pytest.mark.parametrize("kind", ["ra", "ua", "ra_bo", "ua_bo", "placebo", "obfuscated"])
def test_a_prompt_does_not_change_with_what_is_finer_than_the_noise(kind, tmp_path):
    """Not with errors by seed, nor with digits below the step, nor with what predict could write into them."""

    def finer(row: dict) -> dict:
        """The same row with other digits."""
        hidden = {"val_mae_by_seed": [1.23, 4.56, 7.89], "val_mae_sd": 3.21}
        if row["margin"] is not None:
            hidden |= {"difference": 0.123, "margin": row["margin"] * 0.999}
        values = {name: coarse(row[name], row["margin"]) + 0.01 for name in ("val_mae", "fit_mae", "stop_mae")}
        return {**row, **hidden, **values}

    prompts = []
    for change in (dict, finer):
        folder = tmp_path / change.__name__
        landscape = Landscape(Space(), noise=0.4)
        history = simulate("random", 12, landscape=landscape, folder=folder, reference=SCRIPT)
        seen = History([Trial.of(change(trial.row)) for trial in history])
        context = context_for(kind, folder, seen, replies=["no"], max_asks=1)
        propose(seen, context)
        prompts.append(prompt_of(context))
    assert prompts[0] == prompts[1]
    shown = remember(history, Space(), base=0, tokens=12_000, look_up=[1, 2], script_of=lambda number: SCRIPT)
    assert not any(f"{mae:.2f}" in shown for trial in history for mae in trial.val_mae_by_seed if round(mae * 100) % 5)
