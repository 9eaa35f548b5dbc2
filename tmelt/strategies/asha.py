"""Asynchronous successive halving (Li et al., 2020, "A system for massively parallel hyperparameter tuning").

Each proposal looks from the highest rung down: of the best 1/eta of a rung, the best one that is not on the next rung
yet is promoted. Where there is none, a configuration is drawn at random for the first rung. No rung waits until it is
full, and a trial that fails counts in its rung but is never promoted.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tmelt.search.history import History, Proposal
from tmelt.strategies import Context
from tmelt.strategies.kind import DRAWN, Kind
from tmelt.strategies.options import read_options
from tmelt.strategies.random import new_draw, nothing_new
from tmelt.strategies.rungs import PROMOTED, HalvingOptions, Ladder, best_unpromoted, least_fidelity, on_rung


class AshaOptions(HalvingOptions):
    """Options of asynchronous successive halving."""


def propose(history: History, context: Context) -> Proposal:
    """Promote the best candidate that may be, else draw one; `stopped` when the space is used up.

    Raises:
        InputError: an option.
    """
    ladder = Ladder.of(_read(context.options, context.strategy))
    rungs = [on_rung(history, rung) for rung in range(ladder.rungs)]
    for rung in range(ladder.top, 0, -1):
        below = rungs[rung - 1]
        best = best_unpromoted(below, rungs[rung], len(below) // ladder.eta)
        if best is not None:
            return ladder.promote(best, below, context.reference, rung)
    knobs = new_draw(history, context, np.random.default_rng(context.seed))
    if knobs is None:
        return nothing_new(context)
    return ladder.place(Proposal(knobs, context.reference, origin="random", rationale="drawn at random"), 0)


def _read(options: Mapping[str, Any], strategy: str) -> AshaOptions:
    return read_options(AshaOptions, options, strategy)


KIND = Kind(
    "asha",
    "successive halving",
    propose,
    AshaOptions,
    order=12,
    origins={**DRAWN, **PROMOTED},
    least_fidelity=lambda options: least_fidelity(_read(options, "asha")),
)
