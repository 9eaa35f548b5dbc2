"""BOHB (Falkner et al., 2018): the brackets of Hyperband, with candidates by a model of the trials so far.

A share of the candidates is drawn at random. The others come from a tree-structured Parzen estimator, as in the paper,
here Optuna's multivariate one as in `bo`. It is told the trials of the highest rung that has `startup` of them with a
validation error, and of no other: errors of two fidelities are not one quantity. While no rung has so many, candidates
are drawn at random as well. Trial 0 counts on the last rung.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from tmelt.search.history import History, Proposal, Trial
from tmelt.search.notes import Sampled
from tmelt.storage.files import sha256_text
from tmelt.strategies import Context
from tmelt.strategies.bo import Tpe, suggest
from tmelt.strategies.brackets import propose_in_brackets
from tmelt.strategies.kind import DRAWN, SAMPLED, Kind
from tmelt.strategies.options import read_options
from tmelt.strategies.optuna_space import inside, measured
from tmelt.strategies.random import new_draw, nothing_new, tried
from tmelt.strategies.rungs import PROMOTED, HalvingOptions, Ladder, least_fidelity


class BohbOptions(HalvingOptions):
    """Options of BOHB."""

    startup: int = Field(
        10, ge=2, description="trials of one rung with a validation error, before a model is told them"
    )
    random_share: float = Field(1 / 3, ge=0, le=1, description="of the candidates that are drawn at random even so")
    candidates: int = Field(24, ge=1, description="draws among which the best ratio of densities is proposed")


def propose(history: History, context: Context) -> Proposal:
    """The next trial of the bracket under way; `stopped` when the space is used up.

    Raises:
        InputError: an option.
    """
    options = _read(context.options, context.strategy)
    ladder = Ladder.of(options)
    return propose_in_brackets(
        history, ladder, context.reference, lambda: _drawn(history, context, options, ladder)
    ) or nothing_new(context)


def _drawn(history: History, context: Context, options: BohbOptions, ladder: Ladder) -> Proposal | None:
    generator = np.random.default_rng(context.seed)
    at_random = generator.random() < options.random_share
    script = sha256_text(context.reference)
    rung, told = _told(history, context, options, ladder, script)
    if at_random or not told:
        knobs = new_draw(history, context, generator)
        why = (
            f"as {options.random_share:.0%} of the candidates are" if told else "no rung has enough trials for a model"
        )
        state = (Sampled(model_based=False),)
        return knobs and Proposal(
            knobs, context.reference, origin="random", rationale=f"drawn at random, {why}", state=state
        )
    found = suggest(
        told,
        context.space,
        script,
        Tpe(startup=1, candidates=options.candidates),
        seed=context.seed,
        search_seed=context.search_seed,
        target=context.target,
        used=tried(history, script),
    )
    if found is None:
        return None
    return Proposal(
        found.knobs,
        context.reference,
        origin="sampler",
        rationale=f"{found.rationale}; a model of {ladder.words(rung)}",
        state=found.state,
    )


def _told(
    history: History, context: Context, options: BohbOptions, ladder: Ladder, script: str
) -> tuple[int, list[Trial]]:
    """The highest rung with enough trials, and all its trials that the model is told; no trials without such a rung."""
    known = inside(history, context.space, script)
    for rung in range(ladder.top, -1, -1):
        own = [trial for trial in known if trial.fidelity == ladder.share(rung)]
        if sum(map(measured, own)) >= options.startup:
            return rung, own
    return 0, []


def _read(options: Mapping[str, Any], strategy: str) -> BohbOptions:
    return read_options(BohbOptions, options, strategy)


KIND = Kind(
    "bohb",
    "BOHB",
    propose,
    BohbOptions,
    order=32,
    origins={**DRAWN, **SAMPLED, **PROMOTED},
    sampler="always",
    least_fidelity=lambda options: least_fidelity(_read(options, "bohb")),
)
