"""What all agents share: their options, the question, and the way from a reply to a proposal or a refusal.

An agent never gets a substitute for a proposal that it could not make: after the last re-ask the trial is `refused`,
and when the budget for LLM calls is spent the search is `stopped`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tmelt.errors import InputError
from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Knob, KnobError, Space, Value, knobs_from_table
from tmelt.search.notes import Ended, LookUp, Note, Oversight
from tmelt.storage.files import sha256_text
from tmelt.strategies import Context
from tmelt.strategies.briefing import Briefing, attempts_of
from tmelt.strategies.coarse import told_mae
from tmelt.strategies.guidance import VETOED, guidance_in_force
from tmelt.strategies.left import left_in_force
from tmelt.strategies.memory import NOT_RUN, TOKENS_MIN, changes_between, remember
from tmelt.strategies.options import read_options
from tmelt.strategies.program import fill_program, program_path
from tmelt.strategies.stop import UNUSABLE
from tmelt.study.target import TM, Target

if TYPE_CHECKING:
    from tmelt.llm import NoUsableReply
    from tmelt.strategies.tools import Candidate

LOOK_UP_MAX = 5
MEMORY_TOKENS = 12_000


class Options(BaseModel):
    """Options of every agent, besides those of the LLM layer (model, budget, …)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    memory_tokens: int = Field(MEMORY_TOKENS, ge=TOKENS_MIN, description="budget of the history in the prompt")
    stop_after_unusable: int | None = Field(
        20, ge=1, description="unusable replies in a row that end a search; null: it goes on whatever is replied"
    )


class Reply(BaseModel):
    """The JSON part of every agent's reply."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    hypothesis: str = Field(min_length=1, max_length=2000, description="what should happen, and why")
    rationale: str = Field(min_length=1, max_length=4000, description="what in the history speaks for it")
    expected_effect: float | None = Field(
        None, ge=-1000, le=1000, description="expected change of the validation error; negative is better"
    )
    look_up: tuple[int, ...] = Field((), max_length=LOOK_UP_MAX, description="trials to see in full next time")
    start: int | None = Field(None, alias="from", description="the trial to start from; null: the agent's usual base")


OwnOptions = TypeVar("OwnOptions", bound=Options)
OwnReply = TypeVar("OwnReply", bound=Reply)


@dataclass(frozen=True)
class Base:
    """The trial that an agent's changes start from."""

    trial: Trial
    script: str

    @property
    def knobs(self) -> dict[str, Value]:
        """Its active knobs."""
        return self.trial.knobs

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"trial {self.trial.iteration}"

    @property
    def declared(self) -> Sequence[Mapping[str, Any]]:
        """The knobs that its script declares itself."""
        return self.trial.proposal["declared_knobs"]


def options_of(model: type[OwnOptions], context: Context) -> OwnOptions:
    """The strategy's own options, checked; those of the LLM layer are checked there.

    Raises:
        InputError: an unknown option or an illegal value.
    """
    from tmelt.llm import LLMSettings

    own = {key: value for key, value in context.options.items() if key not in LLMSettings.model_fields}
    return read_options(model, own, context.strategy)


def incumbent_base(history: History, context: Context) -> Base:
    """The incumbent; the baseline while there is none."""
    return base_of(history.incumbent or history[0], context)


def base_of(trial: Trial, context: Context) -> Base:
    """A trial with its script."""
    known = trial.script == sha256_text(context.reference)
    return Base(trial, context.reference if known else context.script(trial.iteration))


def consult(
    history: History,
    context: Context,
    *,
    options: Options,
    base: Base,
    values: Mapping[str, str],
    parse: Callable[[str], Proposal],
    reply: type[Reply],
    draft: "Callable[[str, Mapping[str, Any], Base], Candidate] | None" = None,
    purpose: str = "propose",
    log: str | None = None,
    rounds: int = 0,
    candidates: int = 1,
    notes: Sequence[Note] = (),
) -> Proposal:
    """Ask the agent and record what came of it.

    Args:
        history: all trials so far.
        context: of the trial to propose.
        options: the agent's.
        base: the trial that changes start from.
        values: what the program's placeholders stand for, besides `task`, `knobs`, `history`, `left`,
            `guidance`, `iteration`.
        parse: makes a proposal of a reply's text, or raises `tmelt.llm.ReplyError`.
        reply: the model of the JSON that is asked for.
        draft: for agents that see and write scripts; makes a candidate of a text, changes of knobs and a base, or
            raises `tmelt.llm.ReplyError`.
        purpose: a word for people who read the transcripts.
        log: the end of the log of the crash to repair.
        rounds: completed rounds of a hybrid.
        candidates: how many are asked for in one reply.
        notes: what the trial keeps, also where no proposal comes about.

    Returns:
        The agent's proposal, `refused` or `stopped`, with the price of asking.
    """
    from tmelt.llm import BudgetSpent, NoUsableReply

    conversation = context.conversation
    if conversation is None:
        raise InputError(f"config: extent.strategies.{context.strategy}: a {context.kind} needs an LLM; name a model")
    words = guidance_in_force(context.folder, context.iteration, conversation.replay)
    space = context.space.extended(knobs_from_table(base.declared))
    memory = remember(
        history,
        space,
        base=base.trial.iteration,
        tokens=options.memory_tokens,
        look_up=asked_for(history),
        script_of=(lambda number: base_of(history[number], context).script) if draft else None,
        target=context.target,
    )
    toolbox = None
    if conversation.settings.tools is not None:
        from tmelt.strategies.tools import AgentTools

        toolbox = AgentTools(history, context, conversation.settings.tools, base=base, space=space, candidate=draft)

    def parse_and_check(text: str) -> Proposal:
        proposal = parse(text)
        if toolbox is not None and draft is not None:
            toolbox.require_check(proposal, conversation)
        return proposal

    common = {
        "task": task_text({**(context.facts or {}), "training seeds of a trial": history[0].seeds}),
        "knobs": context.space.markdown(),
        "history": memory,
        "guidance": words,
        "tools": toolbox.text(conversation.native_tools) if toolbox is not None else "",
        "left": left_in_force(context, conversation, getattr(options, "round", None)),
        "iteration": str(context.iteration),
    }
    system, user = fill_program(program_path(context.kind), {**common, **values}, words_of(context.target))
    briefing = Briefing(
        asked=tuple(reply.model_fields),
        knobs={knob.name: knob for knob in space},
        base={name: value for name, value in base.knobs.items() if name in space},
        base_number=base.trial.iteration,
        attempts=attempts_of(history),
        iteration=context.iteration,
        rounds=rounds,
        script=base.script if draft else None,
        log=log,
        guidance=words,
        candidates=candidates,
        tools=tuple(spec.name for spec in toolbox.specs) if toolbox is not None else (),
        unit=context.target.unit,
    )
    try:
        proposal = conversation.ask(
            system=system,
            user=user,
            parse=parse_and_check,
            purpose=purpose,
            briefing=briefing.to_json,
            toolbox=toolbox,
        )
        conversation.finish()
    except NoUsableReply as error:
        proposal = _unusable(base, history, error, options.stop_after_unusable)
        conversation.finish()
    except BudgetSpent as error:
        proposal = _without_change(base, "stopped", str(error))
    used = conversation.tools_used
    return replace(
        proposal,
        state=(*proposal.state, *notes, *([Oversight(guidance=words)] if words else [])),
        tool_calls=used.calls,
        tool_s=used.seconds,
        tool_cpu_s=used.cpu_s,
        tool_device_s=used.device_s,
        cost_usd=conversation.cost_usd,
        llm_calls=conversation.calls,
        prompt_tokens=conversation.prompt_tokens,
        completion_tokens=conversation.completion_tokens,
        transcripts=tuple(conversation.transcripts),
    )


def _without_change(base: Base, status: str, error: str) -> Proposal:
    return Proposal(
        knobs=base.knobs, script=base.script, origin="agent", status=status, parent=base.trial.iteration,
        declared_knobs=tuple(base.declared), error=error,
    )  # fmt: skip


def _unusable(base: Base, history: History, error: "NoUsableReply", limit: int | None) -> Proposal:
    """A refused trial, or the end of the search once too many replies in a row could not be used."""
    count = len(error.errors)
    for trial in reversed(history):
        if trial.origin == "agent":
            if trial.status != "refused" or trial.error == VETOED:
                break
            count += max(1, len(trial.proposal["transcripts"]) - trial.tool_calls)  # replies that used tools are fine
    if limit is not None and count >= limit:
        reason = (
            f"{count} replies in a row could not be used (stop_after_unusable: {limit}); the last one: "
            f"{error.errors[-1]}; change the model or its settings, or raise stop_after_unusable"
        )
        return replace(_without_change(base, "stopped", reason), state=(Ended(cause=UNUSABLE),))
    return _without_change(base, "refused", str(error))


def agent_proposal(
    reply: Reply, base: Base, knobs: Mapping[str, Value], *, script: str, declared: Sequence[Mapping[str, Any]] = (),
    state: Sequence[Note] = (), subspace: Mapping[str, Any] | None = None,
) -> Proposal:  # fmt: skip
    """A proposal out of a checked reply; what it asks to look up is kept for the next question."""
    wishes = [LookUp(trials=tuple(sorted(set(reply.look_up))))] if reply.look_up else []
    return Proposal(
        knobs=knobs,
        script=script,
        origin="agent",
        parent=base.trial.iteration,
        rationale=reply.rationale,
        hypothesis=reply.hypothesis,
        expected_effect=reply.expected_effect,
        subspace=subspace,
        declared_knobs=tuple(declared),
        state=(*state, *wishes),
    )


def asked_for(history: History) -> list[int]:
    """The trials that the agent, when last asked, wanted to see in full."""
    last = next((trial for trial in reversed(history) if trial.origin == "agent"), None)
    wish = last.note(LookUp) if last else None
    return list(wish.trials) if wish else []


def words_of(target: Target) -> dict[str, str]:
    """The target in a program's words: what is predicted, and in which unit."""
    short = f"{target.key}, " if target.symbol != target.name else ""
    unit = f"in {target.unit}" if target.unit else "without a unit"
    return {"target": f"{target.name} ({short}{unit})", "unit": target.unit or "the unit of the labels"}


def task_text(facts: Mapping[str, Any]) -> str:
    """What the protocol lets an agent know, as a list."""
    lines = [
        f"- {key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in facts.items()
    ]
    return "\n".join(lines) or "- nothing is known beyond this page"


def read_reply(model: type[OwnReply], raw: Any, history: History) -> OwnReply:
    """A reply's JSON in its model.

    Raises:
        ReplyError: a missing, unknown or ill-typed field, a look-up of a trial that does not exist, or a start from one
            that does not exist or did not run.
    """
    from tmelt.llm import ReplyError

    try:
        reply = model.model_validate(raw)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, each['loc'])) or 'reply'}: {each['msg']}" for each in error.errors()[:3]]
        keys = (field.alias or name for name, field in model.model_fields.items())
        raise ReplyError(f"{'; '.join(found)}. The JSON object has the keys {', '.join(keys)}") from None
    for number in reply.look_up:
        if not 0 <= number < len(history):
            raise ReplyError(f"look_up: there is no trial {number}; the trials are 0 to {len(history) - 1}")
    if reply.start is not None:
        if not 0 <= reply.start < len(history):
            raise ReplyError(f"from: there is no trial {reply.start}; the trials are 0 to {len(history) - 1}")
        if history[reply.start].status in NOT_RUN:
            raise ReplyError(f"from: trial {reply.start} did not run ({history[reply.start].status}); name another")
    return reply


def chosen_base(reply: Reply, base: Base, history: History, context: Context) -> Base:
    """The trial that the reply starts from: the one it names, or the agent's usual base."""
    return base if reply.start is None else base_of(history[reply.start], context)


def apply_changes(
    knobs: Mapping[str, Value], changes: Mapping[str, Any], space: Space, of: str, *,
    needed: bool = True, most: int | None = None,
) -> dict[str, Value]:  # fmt: skip
    """Return `knobs` with the agent's changes, complete; a change to the value that a knob has is dropped.

    Args:
        knobs: of the base.
        changes: knobs and their new values.
        space: the knobs that exist.
        of: what messages call the base.
        needed: whether at least one change must be left.
        most: how many changes may be left.

    Raises:
        ReplyError: an unknown, illegal or inactive knob, no change that is left, or too many of them.
    """
    from tmelt.llm import ReplyError

    try:
        kept = {name: value for name, value in knobs.items() if name in space}
        changed = space.complete({**kept, **changes})
    except (KnobError, TypeError) as error:
        raise ReplyError(f"changes: {error}") from None
    for name in changes:
        if name not in changed:
            other, values = space[name].when
            raise ReplyError(
                f"changes: {name} counts only if {other} is {' or '.join(map(str, values))};"
                f" leave it out or change {other} as well"
            )
    same = [
        name for name in changes if name in knobs and not changes_between({name: knobs[name]}, {name: changed[name]})
    ]
    left = len(changes) - len(same)
    if needed and not left:
        already = ", ".join(f"{name} already is {changes[name]}" for name in same) or "no knob is given another value"
        raise ReplyError(f"changes: nothing would change: {already} in {of}; give a knob another value")
    if most is not None and left > most:
        raise ReplyError(f"changes: {left} of them; change at most {most} knobs")
    return changed


def refuse_repeat(history: History, knobs: Mapping[str, Value], script: str, target: Target = TM) -> None:
    """Raise ReplyError if this script with these knobs was tried, or vetoed, before."""
    from tmelt.llm import ReplyError

    sha256 = sha256_text(script)
    for trial in history:
        if trial.script != sha256 or trial.knobs != knobs:
            continue
        if trial.status in NOT_RUN and trial.error != VETOED:
            continue  # no proposal of its own: it carries its base's knobs
        told = trial.error if trial.error == VETOED else trial.status
        outcome = target.amount(f"{told_mae(trial):.2f}") if trial.ok else told
        raise ReplyError(f"this is trial {trial.iteration} again ({outcome}); propose what has not been tried")


def extended_space(context: Context, declared: Sequence[Mapping[str, Any]]) -> Space:
    """The study's knobs and those that a script declares."""
    knobs: tuple[Knob, ...] = knobs_from_table(declared)
    return context.space.extended(knobs)
