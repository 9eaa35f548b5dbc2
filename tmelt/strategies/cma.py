"""CMA-ES over the whole mixed space, its state rebuilt from the history at every ask.

The algorithm is CatCMA with margin (Hamano et al., 2025, arXiv:2504.07884) from the package `cmaes`, on which Optuna's
CMA-ES sampler runs as well. Optuna's sampler itself is not used: it draws all choices at random, and carries its state
as a pickle in trial attributes.

How a knob enters:
- a float, or a whole number with many values: a continuous coordinate in [0, 1], logarithmic where the knob is;
- a whole number, or a choice among numbers (`batch_size`), with at least three values: an ordered coordinate in [0, 1];
- any other choice: a categorical variable with a probability per value.
An inactive knob keeps its coordinate; it drifts until the knob becomes active again.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tmelt.search.history import Trial
from tmelt.search.knobs import Knob, Space, Value
from tmelt.search.notes import CmaSample, Note, Sampled
from tmelt.storage.files import sha256_json
from tmelt.strategies.optuna_space import measured, worst_of

if TYPE_CHECKING:
    from cmaes import CatCMAwM

WHOLE_NUMBERS = 32  # a whole number with more values than this is continuous
STEP = 0.2  # initial standard deviation, as a share of each range


class Cma:
    """CMA-ES in one space: rebuilt from trials, asked once or more, thrown away.

    Rebuilding is exact: an update depends on the samples and their values alone, and each proposal's `state` carries
    its sample, so the state equals that of a process that never stopped (a test compares them). A generation is told
    once it is complete.

    Attributes:
        optimiser: the `cmaes.CatCMAwM`, whose coordinates are `continuous`, then `ordered`; then `categorical`.
        waiting: how many trials of the present generation are not told yet.
    """

    def __init__(self, space: Space, population: int | None):
        self.space = space
        several = [knob for knob in space if knob.kind != "choice" or len(knob.choices) > 1]
        self.ordered = {knob: values for knob in several if len(values := _ordered_values(knob)) > 2}
        self.continuous = [knob for knob in several if knob.kind != "choice" and knob not in self.ordered]
        self.categorical = [knob for knob in several if knob.kind == "choice" and knob not in self.ordered]
        self.population = population
        self.key = sha256_json([space.table(), population])[:12]
        self.optimiser: CatCMAwM
        self.waiting = 0

    def restore(self, trials: Sequence[Trial], avoid_failures: bool) -> None:
        """Build the state that the trials lead to.

        Told are the trials drawn by CMA-ES in this very space (same ranges, same population). The search starts at the
        best measured trial before the first of them: its values are the mean, and get half of each categorical
        probability.

        Args:
            trials: all of this script and space, in order.
            avoid_failures: whether a failed sample counts in its generation, ranked behind every measured one (CMA-ES
                learns from ranks); if not, the generation waits for another sample in its place. A point that
                an agent, say, put into the state never counts if it failed: it may lie far off the distribution.
        """
        own = [trial for trial in trials if self._is_own(trial)]
        first = own[0].iteration if own else math.inf
        before = [trial for trial in trials if trial.iteration < first and measured(trial)]
        start = min(before, key=lambda trial: (trial.val_mae, trial.iteration)).knobs if before else {}
        self._start_at({knob.name: knob.default for knob in self.space} | start)
        told = [trial for trial in own if measured(trial) or (avoid_failures and trial.origin == "sampler")]
        size = self.optimiser.population_size
        complete = len(told) // size * size
        for end in range(size, complete + 1, size):
            generation = told[end - size : end]
            worst = worst_of(trial for trial in trials if trial.iteration <= generation[-1].iteration)
            generation.sort(key=lambda trial: not measured(trial))
            self.optimiser.tell([(self._solution(t), t.val_mae if measured(t) else worst) for t in generation])
        self.waiting = len(told) - complete

    def ask(self) -> tuple[dict[str, Value], tuple[Note, ...]]:
        """A sample of the present distribution: active knobs, and the notes to keep in the proposal."""
        sample = self.optimiser.ask()
        values: dict[str, Value] = {knob.name: knob.choices[0] for knob in self.space if knob.kind == "choice"}
        if self.continuous:
            values |= {k.name: from_unit(k, u) for k, u in zip(self.continuous, sample.x, strict=True)}
        if self.ordered:
            for (knob, ordered), position in zip(self.ordered.items(), sample.z, strict=True):
                values[knob.name] = ordered[round(position * (len(ordered) - 1))]
        choices = [] if sample.c is None else [int(index) for index in sample.c.argmax(axis=1)]
        values |= {k.name: k.choices[index] for k, index in zip(self.categorical, choices, strict=True)}
        raw = () if sample._v_raw is None else tuple(float(coordinate) for coordinate in sample._v_raw)
        note = CmaSample(space=self.key, coordinates=raw, choices=tuple(choices))
        return self.space.complete(values), (note, Sampled(model_based=self.optimiser.generation > 0))

    def _is_own(self, trial: Trial) -> bool:
        sample = trial.note(CmaSample)
        return sample is not None and sample.space == self.key

    def _start_at(self, knobs: Mapping[str, Value]) -> None:
        """A fresh optimiser around these values of all knobs, active or not."""
        from cmaes import CatCMAwM

        mean = [to_unit(knob, knobs[knob.name]) for knob in self.continuous]
        mean += [values.index(knobs[knob.name]) / (len(values) - 1) for knob, values in self.ordered.items()]
        sizes = [len(knob.choices) for knob in self.categorical]
        probability = np.zeros((len(sizes), max(sizes, default=0)))  # (variables, values)
        for row, knob in zip(probability, self.categorical, strict=True):
            row[: len(knob.choices)] = 0.5 / len(knob.choices)
            row[knob.choices.index(knobs[knob.name])] += 0.5
        gaussian = {"mean": np.array(mean), "cov": np.eye(len(mean)), "sigma": STEP} if mean else {}
        self.optimiser = CatCMAwM(
            x_space=[[0.0, 1.0] for _ in self.continuous] or None,
            z_space=[[i / (len(values) - 1) for i in range(len(values))] for values in self.ordered.values()] or None,
            c_space=sizes or None,
            cat_param=probability if sizes else None,
            population_size=self.population,
            seed=0,  # telling draws nothing; asking is seeded by the caller
            **gaussian,
        )

    def _solution(self, trial: Trial) -> "CatCMAwM.Solution":
        """The sample that became this trial."""
        from cmaes import CatCMAwM

        sample = trial.note(CmaSample)
        assert sample is not None, "told are trials with a sample alone"
        width = max((len(knob.choices) for knob in self.categorical), default=0)
        chosen = np.eye(width, dtype=bool)[list(sample.choices)] if self.categorical else None  # (variables, values)
        raw = np.array(sample.coordinates) if self.continuous or self.ordered else None  # (coordinates,)
        return CatCMAwM.Solution(c=chosen, _v_raw=raw)


def _ordered_values(knob: Knob) -> tuple[Value, ...]:
    """The knob's values in order, if they are few and have one."""
    if knob.kind == "int" and not knob.log and knob.high - knob.low < WHOLE_NUMBERS:
        return tuple(range(int(knob.low), int(knob.high) + 1))
    if knob.kind == "choice" and all(isinstance(v, int | float) and not isinstance(v, bool) for v in knob.choices):
        return tuple(sorted(knob.choices))
    return ()


def to_unit(knob: Knob, value: Value) -> float:
    """The position of a number in its knob's (logarithmic) range, in [0, 1]."""
    scale = math.log if knob.log else float
    return (scale(value) - scale(knob.low)) / (scale(knob.high) - scale(knob.low))


def from_unit(knob: Knob, position: float) -> Value:
    """The knob's value at a position in [0, 1]; beyond, the nearest end."""
    if knob.log:
        value = math.exp(math.log(knob.low) + position * (math.log(knob.high) - math.log(knob.low)))
    else:
        value = knob.low + position * (knob.high - knob.low)
    value = min(max(value, knob.low), knob.high)
    return round(value) if knob.kind == "int" else float(value)
