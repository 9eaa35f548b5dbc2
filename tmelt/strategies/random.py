"""Random search: every knob drawn on its own, evenly over its (logarithmic) range or its choices."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict

from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Knob, Space, Value
from tmelt.storage.files import canonical_json
from tmelt.strategies import Context
from tmelt.strategies.kind import DRAWN, Kind
from tmelt.strategies.options import read_options

DRAWS = 1000  # tries at a configuration that is new, before a space counts as used up
USED_UP = f"{DRAWS} draws found no configuration that is new: the space is (nearly) used up"


class RandomOptions(BaseModel):
    """Random search has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def propose(history: History, context: Context) -> Proposal:
    """Draw a configuration that the history has not tried; `stopped` when the space is used up.

    Deterministic in (history's knobs, context.seed), in any process.

    Raises:
        InputError: an option.
    """
    read_options(RandomOptions, context.options, context.strategy)
    knobs = new_draw(history, context, np.random.default_rng(context.seed))
    if knobs is None:
        return nothing_new(context)
    return Proposal(knobs=knobs, script=context.reference, origin="random", rationale="drawn at random")


def new_draw(history: History, context: Context, generator: np.random.Generator) -> dict[str, Value] | None:
    """A configuration of the reference script that the history has not tried; None when the space is used up."""
    used = tried(history, Proposal(knobs={}, script=context.reference).script_sha256)
    for _ in range(DRAWS):
        knobs = draw(context.space, generator)
        if configuration(knobs) not in used:
            return knobs
    return None


def nothing_new(context: Context) -> Proposal:
    """The stop of a search whose space is used up."""
    return Proposal(knobs=context.space.defaults(), script=context.reference, status="stopped", error=USED_UP)


def draw(space: Space, generator: np.random.Generator) -> dict[str, Value]:
    """Active knobs of one configuration, uniform over the ranges."""
    return space.complete({knob.name: value_at(knob, generator.random()) for knob in space})


def value_at(knob: Knob, position: float) -> Value:
    """The knob's value at a position in [0, 1): equal shares for choices and whole numbers, (log-)linear for floats."""
    if knob.kind == "choice":
        return knob.choices[min(int(position * len(knob.choices)), len(knob.choices) - 1)]
    low, high = (knob.low - 0.5, knob.high + 0.5) if knob.kind == "int" else (knob.low, knob.high)
    if knob.log:
        value = math.exp(math.log(low) + position * (math.log(high) - math.log(low)))
    else:
        value = low + position * (high - low)
    value = min(max(round(value) if knob.kind == "int" else value, knob.low), knob.high)
    return int(value) if knob.kind == "int" else float(value)


def configuration(knobs: Mapping[str, Value]) -> str:
    """A configuration's identity: active knobs as canonical JSON."""
    return canonical_json(dict(knobs))


def tried(trials: Iterable[Trial], script_sha256: str) -> set[str]:
    """Configurations that trials of this script have run, whether they succeeded or not."""
    return {configuration(trial.knobs) for trial in trials if trial.script == script_sha256}


KIND = Kind("random", "random search", propose, RandomOptions, order=10, origins=DRAWN)
