"""Restricted agent: an LLM changes one to three knobs of the incumbent, with a reason (program: prompts/ra.md)."""

from typing import Any

from pydantic import Field

from tmelt.search.history import History, Proposal
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
from tmelt.strategies.kind import ASKED, Kind
from tmelt.strategies.topology import TopologyOptions, branch_of


class RAOptions(Options, TopologyOptions):
    """Options of the restricted agent."""


class Changes(Reply):
    """What a restricted agent replies."""

    changes: dict[str, Any] = Field(description="one to three knobs and their new values")


CHANGES_MAX = 3


def propose(history: History, context: Context) -> Proposal:
    """The parent with one to three knobs changed by the agent."""
    from tmelt.llm.extract import extract_json

    options = options_of(RAOptions, context)
    branch = branch_of(history, context, options)

    def parse(text: str) -> Proposal:
        reply = read_reply(Changes, extract_json(text), history)
        start = branch.start(reply, history, context)
        knobs = apply_changes(start.knobs, reply.changes, context.space, of=start.name, most=CHANGES_MAX)
        refuse_repeat(history, knobs, start.script, context.target)
        return agent_proposal(reply, start, knobs, script=start.script)

    return consult(
        history,
        context,
        options=options,
        base=branch.base,
        values=branch.values,
        parse=parse,
        reply=Changes,
        notes=branch.notes,
    )


KIND = Kind(
    "ra",
    "restricted agent",
    propose,
    RAOptions,
    order=80,
    origins=ASKED,
    agent=True,
)
