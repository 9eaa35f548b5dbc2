"""Hyperband (Li et al., 2018): brackets of successive halving with random candidates (tmelt.strategies.brackets)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tmelt.search.history import History, Proposal
from tmelt.strategies import Context
from tmelt.strategies.brackets import propose_in_brackets
from tmelt.strategies.kind import DRAWN, Kind
from tmelt.strategies.options import read_options
from tmelt.strategies.random import new_draw, nothing_new
from tmelt.strategies.rungs import PROMOTED, HalvingOptions, Ladder, least_fidelity


class HyperbandOptions(HalvingOptions):
    """Options of Hyperband."""


def propose(history: History, context: Context) -> Proposal:
    """The next trial of the bracket under way; `stopped` when the space is used up.

    Raises:
        InputError: an option.
    """
    ladder = Ladder.of(_read(context.options, context.strategy))

    def drawn() -> Proposal | None:
        knobs = new_draw(history, context, np.random.default_rng(context.seed))
        return knobs and Proposal(knobs, context.reference, origin="random", rationale="drawn at random")

    return propose_in_brackets(history, ladder, context.reference, drawn) or nothing_new(context)


def _read(options: Mapping[str, Any], strategy: str) -> HyperbandOptions:
    return read_options(HyperbandOptions, options, strategy)


KIND = Kind(
    "hyperband",
    "Hyperband",
    propose,
    HyperbandOptions,
    order=13,
    origins={**DRAWN, **PROMOTED},
    least_fidelity=lambda options: least_fidelity(_read(options, "hyperband")),
)
