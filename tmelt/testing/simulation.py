"""A search without training: a strategy on a cheap landscape over the space, with a real history.

`simulate(kind)` runs a search; `outcome` makes the next row from a proposal, for tests that ask on their own.
Rows are made by tmelt.search.scoring as in a study, and survive `write_table` and `History.read` unchanged.

As a program it prints the next proposal for a history, which is how tests ask in a new process:
`python -m tmelt.testing.simulation HISTORY KIND OPTIONS_JSON`.
"""

import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tmelt.search import scoring
from tmelt.search.decision import Rule, Validation
from tmelt.search.families import Families
from tmelt.search.fidelity import stop_if_beyond
from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Knob, Space, Value
from tmelt.storage.files import canonical_json, sha256_text
from tmelt.storage.schema import TRIAL, write_table
from tmelt.strategies import Context, propose

RULE = Rule(z=1.0, seed_sd=0.0)
REFERENCE = "def fit(task, knobs, checkpoint): ...\n\n\ndef predict(task, checkpoint): ...\n"


@dataclass(frozen=True)
class Landscape:
    """A validation MAE in target units for every configuration, known in closed form.

    Each active knob costs w·(u − t)², u its position in its range, t its best position; a choice costs what its value
    is assigned. Weights are log-normal: few knobs matter much, most hardly, as in real searches. The two costliest
    knobs make each other worse. Everything follows from the seed and the knobs' names: subspaces share the landscape.
    """

    space: Space
    seed: int = 0
    floor: float = 5.0  # target units, the best there is
    # Target units: how far below a full training one with the share f moves each configuration up or down at random, as
    # a standard deviation times log2(1/f). Of a half its rank correlation with full trainings is about 0.9.
    unlike: float = 0.3
    short: float = 0.5  # target units: what a training with the share f lacks on average, times log2(1/f)
    noise: float = 0.1  # target units, standard deviation between training seeds
    failing: float = 0.0  # share of configurations that crash, always the same ones

    def mae(self, knobs: Mapping[str, Value]) -> float:
        """Without noise."""
        total, offsets = self.floor, []
        for knob in self.space:
            if knob.name in knobs:
                weight, best = _shape(self.seed, knob.name)
                offset = self._position(knob, knobs[knob.name]) - best
                total += weight * offset**2
                offsets.append(math.sqrt(weight) * offset)
        *_, second, first = sorted([0.0, 0.0, *map(abs, offsets)])
        return total + 0.5 * first * second

    def crashes(self, knobs: Mapping[str, Value]) -> bool:
        """Whether this configuration fails."""
        return _generator(self.seed, canonical_json(dict(knobs))).random() < self.failing

    def measure(self, knobs: Mapping[str, Value], seed: int, fidelity: float = 1.0) -> float:
        """With the noise of this training seed, rounded as the harness does; the same whenever it is asked."""
        identity = [dict(knobs), seed] if fidelity == 1 else [dict(knobs), seed, fidelity]
        noise = _generator(self.seed, canonical_json(identity)).normal(0, self.noise)
        lacking = -math.log2(fidelity)
        own = _generator(self.seed, canonical_json([dict(knobs), "cheap"])).normal(self.short, self.unlike)
        return round(self.mae(knobs) + lacking * own + noise, 2)

    def _position(self, knob: Knob, value: Value) -> float:
        if knob.kind == "choice":
            return _shape(self.seed, f"{knob.name}={value}")[1]
        scale = math.log if knob.log else float
        return (scale(value) - scale(knob.low)) / (scale(knob.high) - scale(knob.low))


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, int(sha256_text(name)[:12], 16)])


@cache
def _shape(seed: int, name: str) -> tuple[float, float]:
    """(weight, best position) of a knob or a choice."""
    generator = _generator(seed, name)
    return generator.lognormal(-1.0, 1.0), generator.uniform(0.1, 0.9)


def without_proteins(rows: Sequence[Mapping[str, Any]]) -> Validation:
    """Errors of trials (their rows, in order) that are the same for all of four unrelated proteins."""

    def errors(iteration: int, seeds: Sequence[int]) -> np.ndarray:
        known = dict(zip(rows[iteration]["seeds"], rows[iteration]["val_mae_by_seed"], strict=True))
        return np.array([[known[seed]] * 4 for seed in seeds])

    return Validation(errors, Families.of(np.arange(4)))


def context_of(
    kind: str,
    iteration: int,
    *,
    options: Mapping[str, Any] | None = None,
    space: Space | None = None,
    trajectory: int = 0,
    **rest: Any,
) -> Context:
    """The context of one proposal; `rest` are Context's further fields, for agents."""
    fixed = {"study": "simulated", "strategy": kind, "folder": Path("/nonexistent"), "reference": REFERENCE}
    return Context(
        **{**fixed, **rest},
        kind=kind,
        options=options or {},
        trajectory=trajectory,
        iteration=iteration,
        space=space or Space(),
    )


def outcome(
    history: History,
    proposal: Proposal,
    landscape: Landscape,
    *,
    strategy: str = "simulated",
    trajectory: int = 0,
    seeds: Sequence[int] = (0, 1, 2),
    rule: Rule = RULE,
) -> History:
    """The history with this proposal's trial added."""
    knobs = {name: value for name, value in proposal.knobs.items() if name in landscape.space}
    refused, crashed = proposal.status == "refused", landscape.crashes(knobs)
    ok = not refused and not crashed
    maes = [landscape.measure(knobs, seed, proposal.fidelity) for seed in seeds] if ok else []
    width, depth = int(knobs.get("width", 256)), int(knobs.get("depth", 1))
    parameters = depth * 12 * width**2 + 1000
    ran = 0.0 if refused else proposal.fidelity * len(seeds)
    scored = {"seeds": seeds, "val_mae_by_seed": maes}
    row = scoring.trial_row(
        proposal=proposal,
        strategy=strategy,
        trajectory=trajectory,
        iteration=len(history),
        history=history,
        rule=rule,
        validation=without_proteins([*(trial.row for trial in history), scored]),
        status="refused" if refused else "crash" if crashed else "ok",
        seeds=[] if refused else seeds,
        maes=maes,
        error=proposal.error if refused else "RuntimeError: simulated" if crashed else None,
        measured={
            "fit_mae": round(statistics.fmean(maes) - 0.5, 4) if ok else None,
            "stop_mae": round(statistics.fmean(maes) - 0.1, 4) if ok else None,
            "parameter_count": parameters if ok else None,
            "checkpoint_mb": round(parameters * 4 / 1e6, 4) if ok else None,
            "fit_s": 10 * ran,
            "cut_by_clock": 0,
            "cpu_s": 11 * ran,
            "device_s": 0.0,
            "memory_mb": None if refused else 600.0,
        },
    )
    return History([*history, Trial.of(row)])


def simulate(
    kind: str,
    iterations: int = 100_000,
    *,
    full: int | None = None,
    landscape: Landscape | None = None,
    options: Mapping[str, Any] | None = None,
    trajectory: int = 0,
    history: History | None = None,
    folder: Path | None = None,
    **rest: Any,
) -> History:
    """A search from its history (or from nothing) until it holds `iterations` trials besides the baseline, or stops.

    With `full` it ends before it amounts to more than so many full trials (tmelt.search.fidelity).

    Given a folder, each proposal is written into it as in a study, so that `Context.script` finds earlier scripts.
    """
    landscape = landscape or Landscape(Space())
    history = history or History()
    if folder is not None:
        rest["folder"] = folder
    while len(history) <= iterations:
        context = context_of(kind, len(history), options=options, space=landscape.space, trajectory=trajectory, **rest)
        proposal = propose(history, context)
        if proposal.status == "stopped" or (full is not None and stop_if_beyond(history, proposal, full)):
            break
        if folder is not None:
            proposal.write(folder / f"i{len(history)}")
        history = outcome(history, proposal, landscape, strategy=context.strategy, trajectory=trajectory)
    return history


def write_history(path: Path, history: History) -> None:
    """As history.parquet of the last trial."""
    write_table(path, [trial.row for trial in history], TRIAL)


if __name__ == "__main__":
    found = History.read(Path(sys.argv[1]))
    context = context_of(sys.argv[2], len(found), options=json.loads(sys.argv[3]))
    print(canonical_json(asdict(propose(found, context))))
