"""Hill climbing: one knob of the incumbent moves by a step, which gets shorter while nothing gets better."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Knob, Value
from tmelt.search.notes import Own
from tmelt.strategies import Context
from tmelt.strategies.cma import from_unit, to_unit
from tmelt.strategies.kind import Kind
from tmelt.strategies.local import open_knobs
from tmelt.strategies.options import read_options
from tmelt.strategies.random import DRAWS, USED_UP, configuration, draw, tried


class Options(BaseModel):
    """Options of hill climbing."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    step: float = Field(0.25, gt=0, le=1, description="first step, as a share of a knob's (logarithmic) range")
    patience: int = Field(10, ge=1, description="trials without a new incumbent before the step is halved")


def propose(history: History, context: Context) -> Proposal:
    """The incumbent with one knob moved; a random draw where all such steps were tried; `stopped` when nothing is left.

    Raises:
        InputError: an option.
    """
    options = read_options(Options, context.options, context.strategy)
    base = history.incumbent or history[0]
    step = _step(history, options)
    used = tried(history, Proposal(knobs={}, script=context.reference).script_sha256)
    generator = np.random.default_rng(context.seed)
    movable = [knob for knob in open_knobs(context.space) if knob.name in base.knobs]
    for attempt in range(2 * DRAWS):
        if attempt < DRAWS and movable:
            knob = movable[generator.integers(len(movable))]
            value = _moved(knob, base.knobs[knob.name], step, generator)
            knobs = context.space.complete({**base.knobs, knob.name: value})
            origin, text = "step", f"{knob.name} of trial {base.iteration} moved to {value} (step {step:.3g})"
        else:
            knobs, origin, text = draw(context.space, generator), "restart", "drawn at random: no new step was found"
        if configuration(knobs) not in used:
            return Proposal(
                knobs=knobs,
                script=context.reference,
                origin=origin,
                parent=base.iteration,
                rationale=text,
                state=(Own(values={"step": step, "incumbent": base.iteration}),),
            )
    return Proposal(knobs=context.space.defaults(), script=context.reference, status="stopped", error=USED_UP)


def _step(history: History, options: Options) -> float:
    """The last trial's step, halved once `patience` trials in a row had it and brought no new incumbent."""
    last = history[-1].note(Own)
    if last is None:
        return options.step
    notes = [trial.note(Own) for trial in history[-options.patience :]]
    incumbent = (history.incumbent or history[0]).iteration
    stuck = len(notes) == options.patience and all(note is not None and note.values == last.values for note in notes)
    return last.values["step"] / 2 if stuck and last.values["incumbent"] == incumbent else last.values["step"]


def _moved(knob: Knob, value: Value, step: float, generator: np.random.Generator) -> Value:
    """Another choice, or a number up to `step` away, at least 1 for a whole number."""
    if knob.kind == "choice":
        others = [choice for choice in knob.choices if choice != value]
        return others[generator.integers(len(others))]
    position = to_unit(knob, value) + step * generator.uniform(-1, 1)
    moved = from_unit(knob, position)
    if knob.kind == "int" and moved == value:
        moved = min(max(int(value) + int(generator.choice([-1, 1])), int(knob.low)), int(knob.high))
    return moved


KIND = Kind(
    "hill_climb",
    "hill climbing",
    propose,
    Options,
    order=25,
    origins={"step": "a step from the incumbent", "restart": "drawn at random, no step was left"},
)
