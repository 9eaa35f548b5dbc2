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
    chosen_base,
    consult,
    incumbent_base,
    options_of,
    read_reply,
    refuse_repeat,
)
from tmelt.strategies.kind import ASKED, Kind


class Changes(Reply):
    """What a restricted agent replies."""

    changes: dict[str, Any] = Field(description="one to three knobs and their new values")


CHANGES_MAX = 3


def propose(history: History, context: Context) -> Proposal:
    """The incumbent with one to three knobs changed by the agent."""
    from tmelt.llm.extract import extract_json

    options = options_of(Options, context)
    base = incumbent_base(history, context)

    def parse(text: str) -> Proposal:
        reply = read_reply(Changes, extract_json(text), history)
        start = chosen_base(reply, base, history, context)
        knobs = apply_changes(start.knobs, reply.changes, context.space, of=start.name, most=CHANGES_MAX)
        refuse_repeat(history, knobs, start.script, context.target)
        return agent_proposal(reply, start, knobs, script=start.script)

    return consult(history, context, options=options, base=base, values={}, parse=parse, reply=Changes)


KIND = Kind(
    "ra",
    "restricted agent",
    propose,
    Options,
    order=80,
    origins=ASKED,
    agent=True,
)
