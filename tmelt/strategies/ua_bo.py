"""Unleashed agent with BO: the agent writes a script and declares a subspace, BO searches it (prompts/ua_bo.md)."""

from typing import Any

from pydantic import Field

from tmelt.search.history import History, Proposal
from tmelt.search.knobs import knobs_from_table
from tmelt.search.notes import InRound
from tmelt.strategies import Context
from tmelt.strategies.agent import (
    agent_proposal,
    base_of,
    consult,
    extended_space,
    options_of,
    read_reply,
    refuse_repeat,
)
from tmelt.strategies.kind import ASKED, SAMPLED, Kind
from tmelt.strategies.memory import REPAIRABLE
from tmelt.strategies.ra_bo import RoundOptions, Structure, check_subspace, round_text, search_round
from tmelt.strategies.rounds import current_round, next_round_number
from tmelt.strategies.ua import UAOptions, candidate, current_task, drafts, script_values


class UABOOptions(UAOptions, RoundOptions):
    """Options of the unleashed agent with BO."""


class ScriptStructure(Structure):
    """The JSON part of the reply; the script or the edits stand outside it."""

    changes: dict[str, Any] = Field(default_factory=dict, description="knobs with other values than in the base")


def propose(history: History, context: Context) -> Proposal:
    """The agent's script that opens a round, its repair, or the next trial of BO in the round.

    A round whose own script crashed is not searched: it is repaired, or the next one begins.
    """
    from tmelt.llm.extract import extract_json

    options = options_of(UABOOptions, context)
    under_way = current_round(history)
    broken = under_way is not None and under_way.start.status in (*REPAIRABLE, "tamper")
    if under_way is not None and not broken and under_way.spent < options.round:
        space = extended_space(context, under_way.start.proposal["declared_knobs"])
        script = base_of(under_way.start, context).script
        drawn = search_round(history, context, under_way, script, space, options.bo)
        if drawn is not None:
            return drawn
    task = current_task(history, context, options)
    number = under_way.number if task.repair and under_way else next_round_number(history)

    def parse(text: str) -> Proposal:
        reply = read_reply(ScriptStructure, extract_json(text), history)
        start = task.branch.start(reply, history, context)
        script, declared, knobs = candidate(text, reply.changes, start, context, options.boundaries)
        space = context.space.extended(knobs_from_table(declared))
        check_subspace(space, knobs, reply.subspace)
        refuse_repeat(history, knobs, script, context.target)
        state = (*task.state, InRound(number=number, subspace_reason=reply.subspace_reason))
        return agent_proposal(
            reply, start, knobs, script=script, declared=declared, state=state, subspace=reply.subspace
        )

    values = {
        **script_values(task, options.boundaries),
        "round": round_text(under_way, history, options.round, context.target),
    }
    return consult(
        history,
        context,
        options=options,
        base=task.base,
        values=values,
        parse=parse,
        reply=ScriptStructure,
        draft=drafts(context, options.boundaries),
        purpose=task.purpose,
        log=task.log,
        rounds=under_way.number if under_way else 0,
        notes=task.branch.notes,
    )


KIND = Kind(
    "ua_bo",
    "unleashed agent with BO",
    propose,
    UABOOptions,
    order=110,
    origins={**SAMPLED, **ASKED},
    agent=True,
    writes_scripts=True,
    sampler="inner",
)
