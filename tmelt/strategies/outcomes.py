"""Outcomes of trials in words and numbers for an agent: decisions, expectations, reports and errors on stop.

Errors are told as tmelt.strategies.coarse rounds them. Epochs, curves and reports are the script's own account of fit,
which sees no protein of val, select or test, and are told as they are.
"""

import ast
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tmelt.search.history import History, Trial
from tmelt.strategies.coarse import coarse, told_mae, told_margin
from tmelt.study.target import TM, Target

EXPLAINED = 3  # latest trials whose decision is explained


def diagnostics(trial: Trial) -> dict[str, Any]:
    """A trial's diagnostics (tmelt.search.diagnostics); empty where there are none."""
    return json.loads(trial.diagnostics or "{}")


def epochs_text(trial: Trial) -> str:
    """Epochs trained, and the best of them: `12/9`; empty where the script logged none."""
    found = diagnostics(trial)
    if "epochs" not in found:
        return ""
    return f"{found['epochs']:.0f}/{found['best_epoch']:.0f}" if "best_epoch" in found else f"{found['epochs']:.0f}"


def observed_effect(history: History, trial: Trial) -> float | None:
    """Change of the validation error against the trial it was changed from; None where one of them failed."""
    parent = history[trial.parent if trial.parent is not None else 0]
    if not trial.ok or not parent.ok or trial.iteration == parent.iteration:
        return None
    return round(told_mae(trial) - told_mae(parent), 2)


def decisions_text(history: History, target: Target = TM) -> str:
    """What counts as a difference, in the numbers of the latest trials."""
    # A placebo's trial may be shown a margin before there is an incumbent to compare it with.
    begun = next((trial.iteration for trial in history if trial.incumbent is not None), len(history))
    compared = [trial for trial in history if trial.margin is not None and trial.iteration > begun]
    if not compared:
        return ""
    margins = [told_margin(trial) for trial in compared[-10:]]
    span = f"{min(margins):.2f} to {max(margins):.2f}"
    lines = [
        "### Decisions",
        f"Margins of the last {len(margins)} comparisons: {target.amount(span)}. They hold the"
        " noise of the training seeds and that of the choice of validation proteins, so a script without any noise of"
        " seeds has one as well. A difference within it is luck as far as can be told.",
        *(_explained(history, trial, target) for trial in compared[-EXPLAINED:]),
    ]
    return "\n".join(lines)


def _explained(history: History, trial: Trial, target: Target) -> str:
    """Why a trial was kept, discarded or left open."""
    before = history[history[trial.iteration - 1].incumbent]
    change = told_mae(trial) - told_mae(before)
    text = (
        f"- Trial {trial.iteration}: {target.amount(f'{change:+.2f}')} against trial {before.iteration}, the incumbent"
        f" then; margin {told_margin(trial):.2f}: {trial.decision}"
    )
    if trial.decision != "inconclusive":
        return f"{text}."
    if trial.incumbent == trial.iteration:
        return f"{text}. It is the incumbent now because it is simpler and no worse than the best incumbent so far."
    return f"{text}. Trial {before.iteration} stays."


def expectations_text(history: History, target: Target = TM) -> str:
    """Expected against observed effects of the agent's own trials."""
    pairs = []
    for trial in history:
        expected, observed = trial.proposal["expected_effect"], observed_effect(history, trial)
        if trial.origin == "agent" and expected is not None and observed is not None:
            pairs.append((float(expected), observed))
    if not pairs:
        return ""
    met = sum(expected * observed > 0 for expected, observed in pairs)
    expected, observed = (target.amount(f"{statistics.fmean(side):+.2f}") for side in zip(*pairs, strict=True))
    return (
        "### Your expectations\n"
        f"Over {len(pairs)} of your trials that worked: expected {expected} on"
        f" average, observed {observed}; the sign was right in {met}."
    )


def curve_text(trial: Trial) -> str:
    """Error on stop by epoch as the script logged it, means over seeds."""
    points = diagnostics(trial).get("curve", [])
    return "; ".join(f"epoch {epoch}: {mae:.2f}" for epoch, mae in points)


def predict_text(trial: Trial) -> str:
    """Seconds of predict up to the next power of two: predict chooses how long it takes, and is told of no finer."""
    seconds = diagnostics(trial).get("predict_s")
    return "" if seconds is None else f"up to {2 ** max(0, math.ceil(math.log2(max(seconds, 1e-3))))}"


def reports_text(trial: Trial) -> str:
    """What the script passed to `task.report`, means over seeds."""
    return "; ".join(f"{name}={value:g}" for name, value in diagnostics(trial).get("reports", {}).items())


def stop_text(trial: Trial, target: Target = TM) -> str:
    """Errors of a trial on the early-stopping proteins, measured by the harness; empty where they are not known."""
    return stop_errors_text(diagnostics(trial).get("stop_errors"), trial.margin, target)


def stop_errors_text(errors: Mapping[str, Any] | None, margin: float | None, target: Target = TM) -> str:
    """The same for errors as tmelt.search.diagnostics.stop_errors gives them."""
    if not errors:
        return ""

    def rows(part: Iterable[Sequence[Any]]) -> str:
        return "; ".join(
            f"{name} ({count}): {coarse(mae, margin):.2f}, bias {coarse(bias, margin):+.2f}"
            for name, count, mae, bias in part
        )

    fit = errors["calibration"]
    predicted, measured = (target.amount(f"{fit[key]:.0f}") for key in ("sd_predicted", "sd_measured"))
    slope = "not defined" if fit["slope"] is None else f"{fit['slope']:.1f}"
    worst = "; ".join(
        f"{name} ({group}, {length} residues, {target.amount(f'{tm:.0f}')}): {error:+d}"
        for name, group, length, tm, error in errors["worst"]
    )
    lines = [
        f"all: {coarse(errors['mae'], margin):.2f}, bias {coarse(errors['bias'], margin):+.2f}",
        f"by group: {rows(errors['groups'])}" if errors["groups"] else "",
        f"by {target.key}: {rows(errors['tm'])}",
        f"by length: {rows(errors['length'])}",
        f"calibration: slope of measured on predicted {slope}; standard deviation of predictions"
        f" {predicted}, of labels {measured}",
        f"worst (predicted minus measured): {worst}",
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def dead_knobs(script: str, names: Iterable[str]) -> set[str]:
    """The knobs that a script cannot read: no string, name, attribute or argument in its code is called so."""
    words = _words(script)
    return {name for name in names if name not in words} if words is not None else set()


@lru_cache(maxsize=32)
def _words(script: str) -> frozenset[str] | None:
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    words = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
        for field in ("id", "attr", "arg"):
            if isinstance(word := getattr(node, field, None), str):
                words.add(word)
    return frozenset(words)
