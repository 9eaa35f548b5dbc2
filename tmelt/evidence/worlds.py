"""Simulated results of studies whose truth is known: what the statistics of this project are held against.

A world has strategies, searches with winners, fresh seeds, proteins in families, a baseline and a reference predictor.
Every prediction is the measured value plus a signed error; its size is a product of what all share (a protein is hard),
what the strategy, the search and the seed add, and of the factor that makes a strategy better. In a null world the
expected absolute error of all sides is the same, so every difference that is claimed is false.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from tmelt.evidence.comparison import BASELINE, REFERENCE, Side, compare, with_verdicts
from tmelt.evidence.error_model import Arm

MAE = 6.0  # target units, of every side without an effect


@dataclass(frozen=True)
class World:
    """What a world is like.

    Attributes:
        arms, searches, seeds, proteins: how many; seeds are the fresh ones of each winner.
        families: `single` (no relatives), `mixed` (1 to 4 proteins each) or `dominant` (one has a quarter of all).
        tails: `normal` or `heavy` (Student's t with 3 degrees of freedom) for every random part.
        between: standard deviation of the winners' true error between searches of a strategy, target units.
        seed: standard deviation of a run's error between training seeds, all proteins shifted alike, target units.
        common: the same for what a seed does to every candidate alike, target units.
        failing: share of runs that fail.
        deterministic: strategies (the first so many) whose runs do not depend on the seed.
        copying: strategies (the first so many) whose searches are copies of one.
        dominant_group: one group holds most proteins, and each strategy errs on it in a way of its own.
        effect: target units by which the first strategy is better than all others.

    A strategy that always ends at one candidate is that candidate, as the page says of one distinct search: its true
    error includes what its only winner drew.
    """

    arms: int = 6
    searches: int = 5
    seeds: int = 3
    proteins: int = 100
    families: str = "mixed"
    tails: str = "normal"
    between: float = 0.3
    seed: float = 0.5
    common: float = 0.3
    failing: float = 0.0
    deterministic: int = 0
    copying: int = 0
    dominant_group: bool = False
    effect: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """One draw of a world: the sides of its comparisons, and the validation errors that a search would report.

    `offsets` holds by how many target units the true error of each strategy differs from MAE.
    """

    clusters: np.ndarray
    sides: dict[str, Side]
    baseline: Side
    reference: Side
    validation: dict[str, float]
    offsets: dict[str, float]


def draw(world: World, rng: np.random.Generator) -> Drawn:
    """One study of this world."""
    clusters = _clusters(world, rng)
    noise = _Noise(world.tails, rng)
    shared = noise.by_family(clusters)
    common = world.common * noise.of(world.seeds) / MAE
    group = rng.random(len(clusters)) < (0.8 if world.dominant_group else 0.0)

    def candidate(own: np.ndarray, factor: float, fixed: bool) -> tuple[np.ndarray, list[int]]:
        """(seeds, proteins) absolute errors of the runs that ended, and their seeds."""
        seeds = [seed for seed in range(world.seeds) if rng.random() >= world.failing] or [0]
        runs = []
        always = noise.of(len(clusters))
        for seed in seeds:
            shift = 1.0 if fixed else 1 + common[seed] + world.seed * noise.of(1)[0] / MAE
            runs.append(_absolute(shared, own, always if fixed else noise.of(len(clusters)), factor * shift))
        return np.array(runs), seeds

    sides, offsets = {}, {}
    for arm in range(world.arms):
        own = noise.by_family(clusters) + group * noise.of(1)[0] * 0.3
        fixed, copied = arm < world.deterministic, arm < world.copying
        runs, seeds, labels = [], [], []
        for search in range(world.searches):
            if search and copied:
                runs.append(runs[0]), seeds.append(seeds[0]), labels.append(labels[0])
                continue
            apart = noise.by_family(clusters)
            better = world.effect if arm == 0 else 0.0
            drawn = world.between * noise.of(1)[0]
            factor = 1 + (drawn - better) / MAE
            found, trained = candidate(own + apart, factor, fixed)
            runs.append(found), seeds.append(trained), labels.append(f"{arm}/{search}")
        offsets[f"s{arm}"] = -better + (drawn if copied else 0.0)
        sides[f"s{arm}"] = Side(f"s{arm}", Arm.of(runs, seeds, labels), tuple(labels))
    errors, seeds = candidate(noise.by_family(clusters) + noise.by_family(clusters), 1.0, False)
    baseline = Side(BASELINE, Arm.single(errors, seeds), (BASELINE,))
    other = _absolute(shared, noise.by_family(clusters) + noise.by_family(clusters), noise.of(len(clusters)), 1.0)
    reference = Side(REFERENCE, Arm.single(other), (REFERENCE,))
    validation = {name: float(rng.normal()) for name in sides}
    return Drawn(clusters, sides, baseline, reference, validation, offsets)


def statements(drawn: Drawn, primary: tuple[str, str] | None = None) -> pl.DataFrame:
    """The family of contrasts that a page of this study would make sentences from, judged by the decision rule."""
    names = list(drawn.sides)
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    rows = [compare(drawn.sides[a], drawn.sides[b], "test_mae", drawn.clusters) for a, b in pairs]
    rows += [compare(side, drawn.baseline, "test_mae", drawn.clusters) for side in drawn.sides.values()]
    chosen = min(drawn.validation, key=drawn.validation.get)
    rows.append(compare(drawn.sides[chosen], drawn.reference, "test_mae", drawn.clusters))
    return pl.DataFrame(with_verdicts(rows, primary), infer_schema_length=None)


def truth(drawn: Drawn, row: dict) -> float:
    """The true difference in target units of a row of `statements`."""
    return drawn.offsets.get(row["a"], 0.0) - drawn.offsets.get(row["b"], 0.0)


class _Noise:
    """Random numbers with variance 1."""

    def __init__(self, tails: str, rng: np.random.Generator) -> None:
        self._tails, self._rng = tails, rng

    def of(self, count: int) -> np.ndarray:
        """Independent numbers."""
        if self._tails == "heavy":
            return self._rng.standard_t(3, size=count) / math.sqrt(3)
        return self._rng.normal(size=count)

    def by_family(self, clusters: np.ndarray) -> np.ndarray:
        """One number per protein, a third of its variance shared by the family."""
        return math.sqrt(1 / 3) * self.of(clusters.max() + 1)[clusters] + math.sqrt(2 / 3) * self.of(len(clusters))


def _absolute(shared: np.ndarray, own: np.ndarray, jitter: np.ndarray, factor: float) -> np.ndarray:
    """Absolute errors in target units whose expectation is MAE times the factor (with normal tails)."""
    mixed = math.sqrt(0.5) * shared + math.sqrt(0.2) * own + math.sqrt(0.1) * jitter
    return np.abs(mixed) * math.sqrt(math.pi / 2) * MAE * factor


def _clusters(world: World, rng: np.random.Generator) -> np.ndarray:
    """(proteins,) family numbers from 0."""
    if world.families == "single":
        return np.arange(world.proteins)
    large = [world.proteins // 4] if world.families == "dominant" else []
    sizes = np.concatenate([large, rng.choice([1, 1, 2, 4], size=world.proteins)]).astype(int)
    drawn = np.repeat(np.arange(len(sizes)), sizes)[: world.proteins]
    return np.unique(drawn, return_inverse=True)[1]
