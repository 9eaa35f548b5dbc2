"""Centaur: CMA-ES whose state an LLM reads and whose sample it overrides in a share of the trials (prompts/centaur.md).

CMA-ES is that of `bo` with `sampler: cmaes` (tmelt.strategies.cma): rebuilt from the history at every ask. What of the
agent enters it:
- A trial of the agent's takes the place of one sample of its generation. Its coordinates are those of its knobs; a
  knob that is inactive in it stands at the mean, or at its most probable value, and so pulls nowhere.
- A point far from the distribution would blow up the step size. As Hansen (2011, "Injecting external solutions into
  CMA-ES", section 3) does, its step from the mean is shortened to the Mahalanobis length √n + 2n / (n + 2) if it is
  longer; the shortened point goes with the error that was measured at the point itself.
- A trial of the agent's that failed is not told: it may lie far off the distribution and then says nothing about it.
  Its generation waits for another. (A sample of CMA-ES's own that failed ranks last in its generation.)
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Knob, Space, Value
from tmelt.search.notes import CmaSample
from tmelt.storage.files import sha256_text
from tmelt.strategies import Context
from tmelt.strategies.agent import (
    Options,
    Reply,
    agent_proposal,
    apply_changes,
    chosen_base,
    consult,
    incumbent_base,
    options_of,
    read_reply,
    refuse_repeat,
)
from tmelt.strategies.bo import Cmaes, proposal_of, suggest
from tmelt.strategies.cma import Cma, from_unit, to_unit
from tmelt.strategies.kind import ASKED, SAMPLED, Kind
from tmelt.strategies.optuna_space import inside

AXES = 3  # principal axes that are shown
LOADINGS = 6  # knobs per axis that are shown


class CentaurOptions(Options):
    """Options of the centaur."""

    override: float = Field(0.3, ge=0, le=1, description="share of the trials that the agent overrides")
    population: int | None = Field(None, ge=4, description="trials per generation; null: 4 + 3 ln(number of knobs)")


class Override(Reply):
    """What a centaur's agent replies."""

    base: Literal["incumbent", "candidate"] = Field(description="what the changes start from")
    changes: dict[str, Any] = Field(min_length=1, description="knobs with other values than in the base")


def propose(history: History, context: Context) -> Proposal:
    """CMA-ES's next sample or, in a share of the trials, what the agent makes of it."""
    from tmelt.llm.extract import extract_json

    options = options_of(CentaurOptions, context)
    script = sha256_text(context.reference)
    sampler = Cmaes(startup=1, population=options.population)
    sample = suggest(
        history,
        context.space,
        script,
        sampler,
        seed=context.seed,
        search_seed=context.search_seed,
        target=context.target,
    )
    if sample is None or not overrides(context, options.override):
        return proposal_of(sample, context)
    cma = restored(history, context.space, script, options.population)
    base = incumbent_base(history, context)

    def parse(text: str) -> Proposal:
        reply = read_reply(Override, extract_json(text), history)
        start = chosen_base(reply, base, history, context)
        values, name = (start.knobs, start.name) if reply.base == "incumbent" else (sample.knobs, "CMA-ES's candidate")
        knobs = apply_changes(values, reply.changes, context.space, of=name)
        refuse_repeat(history, knobs, start.script, context.target)
        return agent_proposal(reply, start, knobs, script=start.script, state=(injected(cma, knobs),))

    candidate = "\n".join(f"| {name} | {value} |" for name, value in sample.knobs.items())
    values = {"cma": describe(cma), "candidate": f"| knob | value |\n|---|---|\n{candidate}"}
    return consult(history, context, options=options, base=base, values=values, parse=parse, reply=Override)


def restored(history: Sequence[Trial], space: Space, script_sha256: str, population: int | None) -> Cma:
    """CMA-ES as the history left it."""
    cma = Cma(space, population)
    cma.restore(inside(history, space, script_sha256), avoid_failures=True)
    return cma


def overrides(context: Context, share: float) -> bool:
    """Whether this trial is one that the agent overrides: evenly spread, one in every 1 / share trials.

    A search's first override falls on a trial of the first such stretch that its seed decides. So n trials have n·share
    overrides, give or take one, however short the search is; drawing each trial by itself left some searches without.
    """
    phase = float(np.random.default_rng([context.search_seed, 1]).random())
    return math.floor(context.iteration * share + phase) > math.floor((context.iteration - 1) * share + phase)


def injected(cma: Cma, knobs: Mapping[str, Value]) -> CmaSample:
    """The note by which CMA-ES finds a point of the agent's in the history and tells itself."""
    optimiser = cma.optimiser
    gaussian = [*cma.continuous, *cma.ordered]
    coordinates: tuple[float, ...] = ()
    if gaussian:
        mean = optimiser._mean  # (n,)
        point = mean.copy()
        for position, knob in enumerate(gaussian):
            if knob.name in knobs:
                point[position] = position_of(cma, knob, knobs[knob.name])
        step = (point - mean) / (optimiser._sigma * optimiser._A)  # (n,)
        axes, lengths = optimiser._eigen_decomposition()  # (n, n), (n,)
        distance = float(np.linalg.norm((axes.T @ step) / lengths))
        longest = math.sqrt(len(gaussian)) + 2 * len(gaussian) / (len(gaussian) + 2)
        coordinates = tuple(float(x) for x in mean + (point - mean) * min(1.0, longest / max(distance, 1e-12)))
    choices = tuple(
        knob.choices.index(knobs[knob.name]) if knob.name in knobs else int(optimiser._q[row].argmax())
        for row, knob in enumerate(cma.categorical)
    )
    return CmaSample(space=cma.key, coordinates=coordinates, choices=choices)


def position_of(cma: Cma, knob: Knob, value: Value) -> float:
    """The coordinate in [0, 1] of a continuous or ordered knob's value."""
    if knob in cma.ordered:
        return cma.ordered[knob].index(value) / (len(cma.ordered[knob]) - 1)
    return to_unit(knob, value)


def describe(cma: Cma) -> str:
    """CMA-ES's state in the knobs' own units: mean and spread, probabilities of choices, the widest axes."""
    optimiser = cma.optimiser
    size = optimiser.population_size
    lines = [f"Generation {optimiser.generation + 1}, {cma.waiting} of its {size} trials are in."]
    gaussian = [*cma.continuous, *cma.ordered]
    if gaussian:
        spread = optimiser._sigma * optimiser._A * np.sqrt(np.diag(optimiser._C))  # (n,)
        lines.append(f"Step size {optimiser._sigma:.3g} (of ranges scaled to 0 … 1).")
        lines += ["", "| knob | mean | one sd below | one sd above |", "|---|---|---|---|"]
        for knob, mean, sd in zip(gaussian, optimiser._mean, spread, strict=True):
            cells = [_in_units(cma, knob, x) for x in (mean, mean - sd, mean + sd)]
            lines.append(f"| {knob.name} | {' | '.join(cells)} |")
    if cma.categorical:
        lines += ["", "| choice | probability |", "|---|---|"]
        for row, knob in zip(optimiser._q, cma.categorical, strict=True):
            shares = ", ".join(f"{choice} {share:.2f}" for choice, share in zip(knob.choices, row, strict=False))
            lines.append(f"| {knob.name} | {shares} |")
    if gaussian:
        axes, lengths = optimiser._eigen_decomposition()  # (n, n), (n,)
        lines += ["", "Widest axes of the covariance (knobs that move together; signs count relative to each other):"]
        for column in np.argsort(-lengths, kind="stable")[:AXES]:
            axis = axes[:, column] * (1 if axes[np.abs(axes[:, column]).argmax(), column] > 0 else -1)  # (n,)
            largest = np.argsort(-np.abs(axis), kind="stable")[:LOADINGS]
            parts = ", ".join(f"{gaussian[i].name} {axis[i]:+.2f}" for i in largest if abs(axis[i]) > 0.1)
            lines.append(f"- length {optimiser._sigma * lengths[column]:.3g}: {parts}")
    return "\n".join(lines)


def _in_units(cma: Cma, knob: Knob, position: float) -> str:
    position = min(max(float(position), 0.0), 1.0)
    if knob in cma.ordered:
        values = cma.ordered[knob]
        return str(values[round(position * (len(values) - 1))])
    return f"{from_unit(knob, position):.3g}"


KIND = Kind(
    "centaur",
    "centaur",
    propose,
    CentaurOptions,
    order=50,
    origins={**SAMPLED, **ASKED},
    agent=True,
    sampler="inner",
)
