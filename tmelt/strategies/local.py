"""Local random search: one to three knobs of the incumbent drawn anew, the moves of `ra` without an LLM.

It is the control for agents: it starts at trial 0 and stays near the incumbent, as they do, and knows nothing.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Knob, Space, Value
from tmelt.strategies import Context
from tmelt.strategies.kind import DRAWN, Kind
from tmelt.strategies.options import read_options
from tmelt.strategies.random import DRAWS, USED_UP, configuration, tried, value_at


class LocalOptions(BaseModel):
    """Options of local random search."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    moves: int = Field(3, ge=1, description="most knobs that one trial changes; the number is drawn evenly from 1 on")


def propose(history: History, context: Context) -> Proposal:
    """Move a few knobs of the incumbent (trial 0 while there is none); `stopped` when the space is used up.

    Raises:
        InputError: an option.
    """
    options = read_options(LocalOptions, context.options, context.strategy)
    base = history.incumbent or history[0]
    used = tried(history, Proposal(knobs={}, script=context.reference).script_sha256)
    generator = np.random.default_rng(context.seed)
    for attempt in range(DRAWS):
        names = drawn_names(base.knobs, context.space, options.moves, generator, attempt)
        drawn = {name: value_at(context.space[name], generator.random()) for name in names}
        knobs = moved(base.knobs, drawn, context.space)
        if configuration(knobs) not in used:
            text = f"drawn anew in trial {base.iteration}: {', '.join(names)}"
            return Proposal(
                knobs=knobs, script=context.reference, origin="random", parent=base.iteration, rationale=text
            )
    return Proposal(knobs=context.space.defaults(), script=context.reference, status="stopped", error=USED_UP)


def drawn_names(
    knobs: Mapping[str, Value], space: Space, moves: int, generator: np.random.Generator, attempt: int = 0
) -> list[str]:
    """Names of 1 to `moves` open knobs that count in `knobs`; more and more after many attempts, in the end all."""
    free = [knob.name for knob in open_knobs(space) if knob.name in knobs]
    every = [knob.name for knob in open_knobs(space)]
    most = min(moves, len(free))
    count = int(generator.integers(1, most + 1)) if most else 0
    extra = attempt * len(every) // DRAWS
    chosen = set(generator.choice(free, count, replace=False)) if count else set()
    if extra:
        chosen |= set(generator.choice(every, extra, replace=False))
    return [name for name in every if name in chosen]


def moved(base: Mapping[str, Value], drawn: Mapping[str, Value], space: Space) -> dict[str, Value]:
    """The base with the drawn values: complete, what they activate at its default."""
    return space.complete({**base, **drawn})


def open_knobs(space: Space) -> Sequence[Knob]:
    """The knobs that have more than one value."""
    return [knob for knob in space if knob.kind != "choice" or len(knob.choices) > 1]


KIND = Kind(
    "local",
    "local search",
    propose,
    LocalOptions,
    order=20,
    origins=DRAWN,
    control="makes the restricted agent's moves at random, without an LLM",
)
