"""Unleashed agent: an LLM rewrites the training script, whole or by search/replace edits (program: prompts/ua.md).

A new script that crashes goes back to the agent with the end of its log, `repairs` times per idea; then the idea is
left.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Value
from tmelt.search.notes import Note, Repair
from tmelt.strategies import Context
from tmelt.strategies.agent import (
    Base,
    Options,
    Reply,
    agent_proposal,
    apply_changes,
    consult,
    extended_space,
    options_of,
    read_reply,
    refuse_repeat,
)
from tmelt.strategies.boundaries import Boundaries, BoundaryError
from tmelt.strategies.check_script import ScriptError, check_script
from tmelt.strategies.kind import ASKED, Kind
from tmelt.strategies.memory import REPAIRABLE
from tmelt.strategies.topology import Branch, TopologyOptions, branch_of, repair_of

CONTRACT = "candidate/CONTRACT.md"
LOG_TAIL = 1500
_PYTHON = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[ \t]*py(thon3?)?\b[^\n]*\n(?P<body>.*?)^ {0,3}(?P=fence)",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)


class UAOptions(Options, TopologyOptions):
    """Options of the unleashed agent."""

    boundaries: Boundaries | None = Field(None, description="what scripts may change; null: everything")
    repairs: int = Field(1, ge=0, description="attempts to fix a script that crashed, per idea")


class Header(Reply):
    """The JSON part of an unleashed agent's reply; the script or the edits stand outside it."""

    changes: dict[str, Any] = Field(default_factory=dict, description="knobs with other values than in the base")


@dataclass(frozen=True)
class Assignment:
    """What the agent is to do now: an idea on top of its parent, or a repair of the last script."""

    branch: Branch
    repair: str  # what went wrong; empty if there is nothing to repair
    state: tuple[Note, ...]  # of the proposal: which attempt at which trial
    log: str | None = None  # end of the log of what crashed

    @property
    def base(self) -> Base:
        """The trial that it starts from."""
        return self.branch.base

    @property
    def purpose(self) -> str:
        """A word for the transcript."""
        return "repair" if self.repair else "propose"


def propose(history: History, context: Context) -> Proposal:
    """A new script, or other knobs for the parent's script, by the agent."""
    from tmelt.llm.extract import extract_json

    options = options_of(UAOptions, context)
    task = current_task(history, context, options)

    def parse(text: str) -> Proposal:
        reply = read_reply(Header, extract_json(text), history)
        start = task.branch.start(reply, history, context)
        script, declared, knobs = candidate(text, reply.changes, start, context, options.boundaries)
        refuse_repeat(history, knobs, script, context.target)
        return agent_proposal(reply, start, knobs, script=script, declared=declared, state=task.state)

    values = script_values(task, options.boundaries)
    return consult(
        history,
        context,
        options=options,
        base=task.base,
        values=values,
        parse=parse,
        reply=Header,
        draft=drafts(context, options.boundaries),
        purpose=task.purpose,
        log=task.log,
        notes=task.branch.notes,
    )


def current_task(history: History, context: Context, options: UAOptions) -> Assignment:
    """A repair if the last trial was a script of the agent's that crashed and attempts are left.

    A script that has worked before crashed because of its knobs; there is nothing to fix in it.
    """
    last = history[-1]
    before = last.note(Repair)
    attempt = before.attempt + 1 if before else 1
    worked = any(trial.ok and trial.script == last.script for trial in history)
    if last.origin != "agent" or last.status not in REPAIRABLE or attempt > options.repairs or worked:
        return Assignment(branch_of(history, context, options), "", ())
    log = (last.error or "no message")[-LOG_TAIL:].replace("```", "'''")
    text = (
        f"Trial {last.iteration} ended as `{last.status}`; this is attempt {attempt} of {options.repairs}."
        f"\n\n```\n{log}\n```"
    )
    note = Repair(attempt=attempt, of=before.of if before else last.iteration)
    return Assignment(repair_of(last, context, options), text, (note,), f"{log}\n")


def script_values(task: Assignment, boundaries: Boundaries | None) -> dict[str, str]:
    """The placeholders of programs that show a script."""
    from importlib.resources import files

    _, _, contract = (
        (files("tmelt") / CONTRACT).read_text(encoding="utf-8").partition("\n")
    )  # its title is the program's
    return {
        **task.branch.values,
        "contract": contract,
        "base": str(task.base.trial.iteration),
        "script": fenced(task.base.script),
        "repair": task.repair,
        "boundaries": boundaries.text() if boundaries is not None else "",
    }


def fenced(script: str) -> str:
    """A script as a Markdown block, with a fence that it cannot close itself."""
    fence = "```"
    while fence in script:
        fence += "`"
    return f"{fence}python\n{script.rstrip()}\n{fence}"


def drafts(
    context: Context, boundaries: Boundaries | None = None
) -> Callable[[str, Mapping[str, Any], Base], tuple[str, Any, dict[str, Value]]]:
    """`candidate` for the tools of this proposal, which take an unchanged script as well."""
    return lambda text, changes, base: candidate(text, changes, base, context, boundaries, needed=False)


def candidate(
    text: str,
    changes: Mapping[str, Any],
    base: Base,
    context: Context,
    boundaries: Boundaries | None = None,
    *,
    needed: bool = True,
) -> tuple[str, tuple[dict[str, Any], ...], dict[str, Value]]:
    """(script, declared knobs, complete knobs) of a reply: a whole script, edits of the base's, or neither.

    Args:
        text: of the reply.
        changes: knobs with other values than in the base.
        base: the trial that the reply starts from.
        context: of the trial to propose.
        boundaries: what the script may change.
        needed: whether something has to change.

    Raises:
        ReplyError: both, edits that do not apply exactly, a script that breaks the contract's form, illegal knobs, or
            no change at all.
    """
    from tmelt.llm import ReplyError
    from tmelt.llm.extract import (
        apply_edits,
        extract_code,
        extract_edits,
        has_edits,
        resembles_edits,
        visible,
        without_edits,
    )

    text = visible(text)  # drafts of scripts in a thought do not count
    if has_edits(text):
        edits = extract_edits(text)
        if _holds_script(without_edits(text)):
            raise ReplyError("both a whole script and SEARCH/REPLACE edits; give one of the two")
        script = apply_edits(base.script, edits)
    elif _holds_script(text):
        script = extract_code(text)
    elif resembles_edits(text):
        raise ReplyError(
            "there are lines of an edit, but no <<<<<<< SEARCH / ======= / >>>>>>> REPLACE block; use these three"
            " markers, each on a line of its own"
        )
    else:
        script = base.script
    return checked_candidate(script, changes, base, context, boundaries, needed=needed)


def checked_candidate(
    script: str,
    changes: Mapping[str, Any],
    base: Base,
    context: Context,
    boundaries: Boundaries | None = None,
    *,
    needed: bool = True,
) -> tuple[str, tuple[dict[str, Any], ...], dict[str, Value]]:
    """(script, declared knobs, complete knobs) of a script and changes of knobs; arguments as those of `candidate`.

    Raises:
        ReplyError: a script that breaks the contract's form or a boundary, illegal knobs, or no change at all.
    """
    from tmelt.llm import ReplyError

    if needed and script == base.script and not changes:
        raise ReplyError(
            "neither the script nor a knob would change; give a whole ```python script, SEARCH/REPLACE edits,"
            " or `changes`"
        )
    try:
        declared = check_script(script, context.space)
    except ScriptError as error:
        raise ReplyError(str(error)) from None
    if boundaries is not None:
        try:
            boundaries.check(script, context.reference)
        except BoundaryError as error:
            raise ReplyError(f"outside the boundaries of this study: {error}") from None
    knobs = apply_changes(
        base.knobs, changes, extended_space(context, declared), of=base.name,
        needed=needed and script == base.script,
    )  # fmt: skip
    return script, declared, knobs


def _holds_script(text: str) -> bool:
    """Whether there is a script in it: a Python block with content, or both functions, however they are wrapped."""
    functions = all(re.search(rf"^(async )?def {name}\(", text, re.MULTILINE) for name in ("fit", "predict"))
    return functions or any(match["body"].strip() for match in _PYTHON.finditer(text))


KIND = Kind(
    "ua",
    "unleashed agent",
    propose,
    UAOptions,
    order=90,
    origins=ASKED,
    agent=True,
    writes_scripts=True,
)
