"""LLM-seeded search: one question proposes the first candidates, a sampler goes on (program: prompts/llm_seeded.md).

It is the control for what an agent brings to a search beyond its first ideas.
"""

from typing import Any

from pydantic import Field

from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Value
from tmelt.search.notes import Candidates, Sampled
from tmelt.storage.files import canonical_json, sha256_text
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
from tmelt.strategies.bo import bo_options, proposal_of, suggest
from tmelt.strategies.kind import ASKED, SAMPLED, Kind
from tmelt.strategies.ra_bo import INNER_STARTUP


class SeededOptions(Options):
    """Options of LLM-seeded search."""

    seeds: int = Field(4, ge=1, le=20, description="candidates that the LLM proposes, all in one reply")
    bo: dict[str, Any] = Field(
        default_factory=lambda: {"startup": INNER_STARTUP},
        description="options of the sampler that goes on, as of `bo`",
    )


class Seeds(Reply):
    """What the LLM replies: one list of changes for each candidate."""

    candidates: tuple[dict[str, Any], ...] = Field(description="of each candidate the knobs that differ from the base")


def propose(history: History, context: Context) -> Proposal:
    """The question and its first candidate, the next of its candidates, or the sampler's answer.

    The LLM is asked again only if no reply could be used, and not beyond its share of the trials.
    """
    options = options_of(SeededOptions, context)
    asked = next((trial for trial in history if _candidates(trial)), None)
    if asked is None and context.iteration <= options.seeds:
        return _ask(history, context, options)
    place = context.iteration - asked.iteration if asked else options.seeds
    if asked and place < len(_candidates(asked)):
        return Proposal(
            knobs=_candidates(asked)[place],
            script=context.reference,
            origin="startup",
            parent=asked.parent,
            rationale=f"candidate {place + 1} of those proposed in trial {asked.iteration}",
            state=(Sampled(model_based=False),),
        )
    suggestion = suggest(
        history,
        context.space,
        sha256_text(context.reference),
        bo_options(options.bo, f"{context.strategy}.bo"),
        seed=context.seed,
        search_seed=context.search_seed,
        target=context.target,
    )
    return proposal_of(suggestion, context)


def _candidates(trial: Trial) -> tuple[dict[str, Value], ...]:
    note = trial.note(Candidates)
    return note.knobs if note else ()


def _ask(history: History, context: Context, options: SeededOptions) -> Proposal:
    from tmelt.llm import ReplyError
    from tmelt.llm.extract import extract_json

    base = incumbent_base(history, context)

    def parse(text: str) -> Proposal:
        reply = read_reply(Seeds, extract_json(text), history)
        if len(reply.candidates) != options.seeds:
            raise ReplyError(f"candidates: {len(reply.candidates)} of them; exactly {options.seeds} are asked for")
        start = chosen_base(reply, base, history, context)
        drawn = [apply_changes(start.knobs, changes, context.space, of=start.name) for changes in reply.candidates]
        for knobs in drawn:
            refuse_repeat(history, knobs, start.script, context.target)
        if len({canonical_json(knobs) for knobs in drawn}) < len(drawn):
            raise ReplyError("candidates: two of them are the same; propose distinct ones")
        return agent_proposal(reply, start, drawn[0], script=start.script, state=(Candidates(knobs=tuple(drawn)),))

    values = {"seeds": str(options.seeds)}
    return consult(
        history,
        context,
        options=options,
        base=base,
        values=values,
        parse=parse,
        reply=Seeds,
        candidates=options.seeds,
    )


KIND = Kind(
    "llm_seeded",
    "LLM-seeded search",
    propose,
    SeededOptions,
    order=40,
    origins={**SAMPLED, **ASKED},
    agent=True,
    sampler="inner",
    control="asks the agent once, then a sampler goes on",
)
