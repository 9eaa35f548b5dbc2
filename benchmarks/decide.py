"""What keep and discard let through, and what they cost, in simulated searches whose truth is known.

    python benchmarks/decide.py                      # 200 searches a row: some minutes
    python benchmarks/decide.py --searches 1000      # the figures of benchmarks/README.md

First the rate of false keeps: candidates that are exactly as good as the incumbent (tmelt.evidence.search_worlds), the
share of them that is kept, by kind of candidate, number of training seeds and of validation proteins. Trial 0 stays the
incumbent, and the trials 1, 3 and 8 are judged. Limit: 5 %, with the Monte Carlo error of the row beside it.

Then whole searches of 100 trials, without and with effects: the true gain in °C, the gain on validation, and the
optimism, which is what of the latter held-out proteins do not show. Peers: `seeds z 0.5` and `seeds z 1`, which weigh
the noise between training seeds alone and let a simpler candidate take over that is up to a margin worse.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_table import publish

from tmelt.command import run_command
from tmelt.evidence.search_worlds import Decide, SearchWorld, simulate_search
from tmelt.search.decision import TOLERANCE, Decision, Rule, Validation, complexity, decide, seed_noise
from tmelt.search.history import History
from tmelt.study.config import Decision as Configured

KINDS: dict[str, dict[str, Any]] = {
    "deterministic": {"deterministic": 1.0},
    "ordinary": {},
    "heavy tails": {"tails": "heavy"},
    "one dominant family": {"families": "dominant"},
    "6 of 10 deterministic": {"deterministic": 0.6},
    "less stable than trial 0": {"unstable": 2.0},
}
SEEDS = (1, 2, 3, 5)
PROTEINS = (36, 100, 1000)
JUDGED = (1, 3, 8)  # trials
TRIALS = 100


def benchmark_decide(
    *, searches: int = 200, z: float | None = None, output: Path = Path("results/benchmarks/decide.parquet")
) -> None:
    """False keeps per kind of candidate, then gain and optimism of whole searches.

    Args:
        searches: per number of a row; worlds of 1,000 proteins and whole searches have a fifth of them.
        z: instead of the config's default.
    """
    rule = Rule(**Configured().model_dump())
    rule = rule if z is None else replace(rule, z=z)
    rows = []
    for (kind, settings), seeds, proteins in itertools.product(KINDS.items(), SEEDS, PROTEINS):
        world = SearchWorld(seeds=seeds, proteins=proteins, **settings)
        rows.append(
            {"candidates": kind, "seeds": seeds, "proteins": proteins}
            | _false_keeps(world, rule, searches if proteins < 1000 else searches // 5)
        )
    publish(rows, output, f"False keeps at z = {rule.z:g}, seed_sd = {rule.seed_sd:g} °C, {searches} searches a number")
    publish(
        list(_searches(rule, max(searches // 5, 2))),
        output.with_stem(f"{output.stem}_searches"),
        f"Searches of {TRIALS} trials, {max(searches // 5, 2)} a row",
    )


def _false_keeps(world: SearchWorld, rule: Rule, searches: int) -> dict[str, float]:
    """Share of useless candidates that are kept, its Monte Carlo error, and the median margin."""
    keeps, margins = [], []
    for number, trials in itertools.product(range(searches), JUDGED):
        *_, last = simulate_search(
            world, _judging(trials, rule), trials, np.random.default_rng([number, trials]), pinned=True
        )
        keeps.append(last.decision.decision == "keep")
        margins.append(last.decision.margin)
    rate = float(np.mean(keeps))
    error = math.sqrt(max(rate, 1 / len(keeps)) * (1 - rate) / len(keeps))
    return {"false_keeps": rate, "error": error, "margin": float(np.median(margins))}


def _judging(trial: int, rule: Rule) -> Decide:
    """Judge this trial alone: the incumbent of the others is given."""

    def judge(history: History, row: Mapping[str, Any], validation: Validation) -> Decision:
        if row["iteration"] == trial:
            return decide(history, row, rule, validation)
        return Decision("discard" if row["iteration"] else "baseline", 0)

    return judge


def _searches(rule: Rule, searches: int) -> Iterator[dict[str, Any]]:
    """Gain and optimism by rule, kind of candidate and whether changes have effects."""
    rules: dict[str, Decide] = {
        "seeds z 0.5": _seeds_alone(0.5),
        "seeds z 1": _seeds_alone(1.0),
        f"seeds and proteins z {rule.z:g}": lambda history, row, validation: decide(history, row, rule, validation),
    }
    worlds = {
        "deterministic, 100 proteins": SearchWorld(deterministic=1.0),
        "ordinary, 2 seeds, 100 proteins": SearchWorld(seeds=2),
        "ordinary, 3 seeds, 100 proteins": SearchWorld(),
        "ordinary, 3 seeds, 1,000 proteins": SearchWorld(proteins=1000),
    }
    for (kind, world), effects, (name, judge) in itertools.product(worlds.items(), (False, True), rules.items()):
        found = []
        for number in range(searches):
            first, *steps = simulate_search(
                replace(world, effects=effects), judge, TRIALS, np.random.default_rng(number)
            )
            last = steps[-1]
            val, held = first.val - last.val, first.held - last.held
            kept = sum(step.decision.decision == "keep" for step in steps)
            found.append((first.truth - last.truth, val, val - held, kept))
        true, val, optimism, kept = np.mean(found, axis=0)
        yield {
            "candidates": kind,
            "effects": effects,
            "rule": name,
            "keeps": kept,
            "true_gain": true,
            "val_gain": val,
            "optimism": optimism,
            "error": float(np.std(found, axis=0, ddof=1)[2] / math.sqrt(searches)),
        }


def _seeds_alone(z: float) -> Decide:
    """Z standard errors of the seed noise as the margin, for keeps and for simpler candidates alike."""

    def judge(history: History, row: Mapping[str, Any], validation: Validation) -> Decision:
        iteration, held = row["iteration"], history.incumbent
        if held is None:
            return Decision("baseline", iteration)
        noise = seed_noise([*(trial.row for trial in history), row])
        margin = z * noise * math.sqrt(2 / len(row["seeds"]))
        difference = _mean(row) - _mean(held.row)
        if difference < -margin - TOLERANCE:
            return Decision("keep", iteration, difference, margin)
        if margin == 0 or difference > margin + TOLERANCE:
            return Decision("discard", held.iteration, difference, margin)
        best = min(_mean(history[trial.incumbent].row) for trial in history)
        simpler = complexity(row) < complexity(held.row) and _mean(row) - best <= margin + TOLERANCE
        return Decision("inconclusive", iteration if simpler else held.iteration, difference, margin)

    return judge


def _mean(row: Mapping[str, Any]) -> float:
    return math.fsum(row["val_mae_by_seed"]) / len(row["val_mae_by_seed"])


if __name__ == "__main__":
    run_command(benchmark_decide)
