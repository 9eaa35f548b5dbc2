"""Restricted agent with BO: the agent sets knobs and a subspace, BO searches it for a round (prompts/ra_bo.md)."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tmelt.search.history import History, Proposal
from tmelt.search.knobs import KnobError, Space, Value
from tmelt.search.notes import InRound
from tmelt.strategies import Context
from tmelt.strategies.agent import (
    Options,
    Reply,
    agent_proposal,
    apply_changes,
    consult,
    options_of,
    read_reply,
    refuse_repeat,
)
from tmelt.strategies.bo import bo_options, suggest
from tmelt.strategies.coarse import told_mae
from tmelt.strategies.kind import ASKED, SAMPLED, Kind
from tmelt.strategies.rounds import Round, current_round, narrowed, next_round_number
from tmelt.strategies.topology import TopologyOptions, branch_of
from tmelt.study.target import TM, Target

INNER_STARTUP = 2


class RoundOptions(BaseModel):
    """What hybrids add to an agent's options."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    round: int = Field(8, ge=1, description="trials of BO after each of the agent's")
    bo: dict[str, Any] = Field(
        default_factory=lambda: {"startup": INNER_STARTUP},
        description="options of the inner BO, as of a `bo` strategy; its startup is 2 by default",
    )

    @field_validator("bo")
    @classmethod
    def _startup(cls, bo: dict[str, Any]) -> dict[str, Any]:
        """The agent's own trial is the first of the startup: one drawn at random follows it, then the model."""
        return bo if bo.get("sampler") == "qmc" else {"startup": INNER_STARTUP, **bo}

    @model_validator(mode="after")
    def _model_based(self) -> "RoundOptions":
        startup = self.bo.get("startup", 0)
        if isinstance(startup, int) and self.round < startup:
            raise ValueError(
                f"round: {self.round} trials are over before BO's startup of {startup} is; no trial of BO would be"
                " model-based; raise round or lower bo: {startup: …}"
            )
        return self


class RABOOptions(Options, TopologyOptions, RoundOptions):
    """Options of the restricted agent with BO."""


class Structure(Reply):
    """What a hybrid's agent replies: its own trial, and what BO is to search around it."""

    changes: dict[str, Any] = Field(min_length=1, description="knobs with other values than in the base")
    subspace: dict[str, dict[str, Any]] = Field(min_length=1, description="knobs left to BO, and their ranges")
    subspace_reason: str = Field(min_length=1, max_length=4000, description="why these knobs and these ranges")


def propose(history: History, context: Context) -> Proposal:
    """The agent's trial that opens a round, or the next trial of BO in it."""
    from tmelt.llm.extract import extract_json

    options = options_of(RABOOptions, context)
    under_way = current_round(history)
    if under_way is not None and under_way.spent < options.round:
        drawn = search_round(history, context, under_way, context.reference, context.space, options.bo)
        if drawn is not None:
            return drawn
    branch = branch_of(history, context, options)
    number = next_round_number(history)

    def parse(text: str) -> Proposal:
        reply = read_reply(Structure, extract_json(text), history)
        start = branch.start(reply, history, context)
        knobs = apply_changes(start.knobs, reply.changes, context.space, of=start.name)
        check_subspace(context.space, knobs, reply.subspace)
        refuse_repeat(history, knobs, start.script, context.target)
        state = (InRound(number=number, subspace_reason=reply.subspace_reason),)
        return agent_proposal(reply, start, knobs, script=start.script, state=state, subspace=reply.subspace)

    values = {**branch.values, "round": round_text(under_way, history, options.round, context.target)}
    return consult(
        history,
        context,
        options=options,
        base=branch.base,
        values=values,
        parse=parse,
        reply=Structure,
        rounds=under_way.number if under_way else 0,
        notes=branch.notes,
    )


def search_round(
    history: History, context: Context, under_way: Round, script: str, space: Space, options: Mapping[str, Any]
) -> Proposal | None:
    """The next trial of BO in a round, warm-started with what the history holds of this script inside the subspace.

    None when the subspace is used up, which ends the round early.

    Raises:
        InputError: an option of the inner BO.
    """
    start = under_way.start
    subspace = start.proposal["subspace"]
    suggestion = suggest(
        history,
        narrowed(space, start.knobs, subspace),
        start.script,
        bo_options(options, f"{context.strategy}.bo"),
        seed=context.seed,
        search_seed=context.search_seed,
        target=context.target,
    )
    if suggestion is None:
        return None
    place = InRound(number=under_way.number, start=start.iteration, spent=under_way.spent + 1)
    return Proposal(
        knobs=suggestion.knobs,
        script=script,
        origin=suggestion.origin,
        parent=start.iteration,
        rationale=f"round {under_way.number}, opened by trial {start.iteration}: {suggestion.rationale}",
        subspace=subspace,
        declared_knobs=tuple(start.proposal["declared_knobs"]),
        state=(*suggestion.state, place),
    )


def check_subspace(space: Space, knobs: Mapping[str, Value], subspace: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ReplyError if the subspace is not one that a round can search."""
    from tmelt.llm import ReplyError

    try:
        narrowed(space, knobs, subspace)
    except KnobError as error:
        raise ReplyError(f"subspace: {error}") from None


def round_text(last: Round | None, history: History, length: int, target: Target = TM) -> str:
    """What the agent is told about rounds: how long the next is, and what came of the last."""
    if last is None:
        return f"No round has been completed. After your trial BO has {length} trials inside your subspace."
    trials = history[last.start.iteration :]
    worked = [trial for trial in trials if trial.ok]
    subspace = json.dumps(last.start.proposal["subspace"])
    lines = [
        f"Round {last.number}, opened by trial {last.start.iteration} with the subspace {subspace}, is over:"
        f" {len(trials)} trials, {len(worked)} worked."
    ]
    if last.start.ok and len(worked) > 1:
        best = min(worked, key=lambda trial: (told_mae(trial), trial.iteration))
        lines.append(
            f"Your own trial reached {target.amount(f'{told_mae(last.start):.2f}')}, the round's best, trial"
            f" {best.iteration} (by {best.origin}), {target.amount(f'{told_mae(best):.2f}')}."
        )
    lines.append(f"After your next trial BO has {length} trials inside your next subspace.")
    return "\n".join(lines)


KIND = Kind(
    "ra_bo",
    "restricted agent with BO",
    propose,
    RABOOptions,
    order=100,
    origins={**SAMPLED, **ASKED},
    agent=True,
    sampler="inner",
)
