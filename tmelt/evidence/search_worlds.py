"""Simulated searches whose truth is known: what keep and discard (`tmelt.search.decision`) are held against.

A world has proteins in families, half of them for validation and half held out; a candidate has a true MAE, errors that
it shares with all candidates, errors of its own, and runs that differ by training seed. Nothing is trained: the errors
are drawn, and rows and decisions are made by the real functions.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tmelt.search.decision import Decision, Validation
from tmelt.search.families import Families
from tmelt.search.history import History, Trial
from tmelt.storage.schema import TRIAL

BASELINE = 8.0  # target units, true MAE of trial 0
FLOOR = 5.0  # target units, the best there is where changes have effects

Decide = Callable[[History, Mapping[str, Any], Validation], Decision]


@dataclass(frozen=True)
class SearchWorld:
    """What a search meets.

    Attributes:
        proteins: validation proteins; as many are held out.
        seeds: training seeds of a trial.
        seed: standard deviation of a run's error between training seeds in target units, all proteins shifted alike.
        tails: `normal` or `heavy` (Student's t with 3 degrees of freedom) for every random part.
        families: `single` (no relatives), `mixed` (1 to 8 proteins each) or `dominant` (one has a quarter of all).
        own: share of a candidate's squared errors that is its own.
        jitter: share of them that is its run's own.
        deterministic: share of the candidates whose runs are equal for all seeds.
        unstable: factor of the seed's standard deviation of all candidates but trial 0.
        effects: False: all candidates are equally good; True: most changes hurt, some help, the fewer the better the
            incumbent is.
    """

    proteins: int = 100
    seeds: int = 3
    seed: float = 0.5
    tails: str = "normal"
    families: str = "mixed"
    own: float = 0.01
    jitter: float = 0.005
    deterministic: float = 0.0
    unstable: float = 1.0
    effects: bool = False


@dataclass(frozen=True)
class Step:
    """One trial of a simulated search.

    Attributes:
        decision: what was decided.
        truth: true MAE of the incumbent after it, in target units.
        val, held: MAE of the incumbent's runs on validation and on held-out proteins, in target units.
    """

    decision: Decision
    truth: float
    val: float
    held: float


def simulate_search(
    world: SearchWorld, decide: Decide, trials: int, rng: np.random.Generator, *, pinned: bool = False
) -> Iterator[Step]:
    """Run a search of so many trials besides trial 0, and tell of each.

    Args:
        decide: history, row and errors by protein → decision.
        pinned: whether trial 0 stays the incumbent whatever is decided, so that no trial is compared with a lucky one.
    """
    drawing = _Drawing(world, rng)
    truth, errors = [], []  # target units; per trial (seeds, proteins)
    history = History()
    for iteration in range(trials + 1):
        held = history.incumbent.iteration if iteration else 0
        truth.append(drawing.truth(truth[held]) if iteration else BASELINE)
        errors.append(drawing.runs(truth[-1], first=not iteration))
        row = drawing.row(iteration, errors[-1])
        validation = Validation(lambda trial, seeds: errors[trial][list(seeds), : world.proteins], drawing.families)
        decision = decide(history, row, validation)
        incumbent = 0 if pinned else decision.incumbent
        history = History([*history, Trial.of(row | {"decision": decision.decision, "incumbent": incumbent})])
        runs = errors[incumbent]
        val, held_out = runs[:, : world.proteins].mean(), runs[:, world.proteins :].mean()
        yield Step(decision, truth[incumbent], float(val), float(held_out))


class _Drawing:
    """The random parts of one search."""

    def __init__(self, world: SearchWorld, rng: np.random.Generator):
        self._world, self._rng = world, rng
        clusters = _clusters(world, rng)
        self.families = Families.of(clusters)
        self._clusters = np.concatenate([clusters, clusters + clusters.max() + 1])  # of validation, then held out
        self._shared = self._by_family()

    def _noise(self, *shape: int) -> np.ndarray:
        """Random numbers with variance 1."""
        if self._world.tails == "heavy":
            return self._rng.standard_t(3, size=shape) / math.sqrt(3)
        return self._rng.normal(size=shape)

    def _by_family(self) -> np.ndarray:
        """One number per protein, half of its variance shared by the family."""
        common = self._noise(self._clusters.max() + 1)[self._clusters]
        return math.sqrt(0.5) * (common + self._noise(len(self._clusters)))

    def truth(self, incumbent: float) -> float:
        """True MAE of the next candidate, given that of the incumbent it was changed from."""
        if not self._world.effects:
            return incumbent
        step = self._rng.normal(0.3, 0.4)
        return incumbent + (step if step > 0 else step * (incumbent - FLOOR) / (BASELINE - FLOOR))

    def runs(self, truth: float, *, first: bool) -> np.ndarray:
        """(seeds, proteins) absolute errors in target units of a new candidate."""
        world = self._world
        fixed = self._rng.random() < world.deterministic
        sd = world.seed * (1.0 if first else world.unstable)
        shift = np.zeros(world.seeds) if fixed else sd * self._noise(world.seeds)
        jitter = self._noise(1 if fixed else world.seeds, len(self._clusters))
        mixed = (
            math.sqrt(1 - world.own - world.jitter) * self._shared
            + math.sqrt(world.own) * self._by_family()
            + math.sqrt(world.jitter) * jitter
        )
        level = np.maximum(truth + shift, 0.1)[:, None]
        return level * math.sqrt(math.pi / 2) * np.abs(mixed)

    def row(self, iteration: int, errors: np.ndarray) -> dict[str, Any]:
        """A trial with the columns that a decision reads; the others are null."""
        maes = [round(float(value), 2) for value in errors[:, : self._world.proteins].mean(axis=1)]
        return dict.fromkeys(TRIAL.names) | {
            "iteration": iteration,
            "status": "ok",
            "fidelity": 1.0,
            "seeds": list(range(len(maes))),
            "val_mae_by_seed": maes,
            "val_mae": round(float(np.mean(maes)), 2),
            "checkpoint_mb": float(self._rng.uniform(5, 7)),
            "parameter_count": 1000,
            "script_lines": 100,
        }


def _clusters(world: SearchWorld, rng: np.random.Generator) -> np.ndarray:
    """(proteins,) family numbers from 0."""
    if world.families == "single":
        return np.arange(world.proteins)
    large: Sequence[int] = [world.proteins // 4] if world.families == "dominant" else []
    sizes = np.concatenate([large, rng.choice([1, 1, 1, 2, 2, 4, 8], size=world.proteins)]).astype(int)
    return np.repeat(np.arange(len(sizes)), sizes)[: world.proteins]
