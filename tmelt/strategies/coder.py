"""Coding agent of the user's: a command that is started for each proposal in a workspace, a git repository.

What it leaves in train.py and knobs.json is the proposal (tmelt.coder; recipes in docs/coding-agents.md).
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tmelt.coder.reported import Reported
from tmelt.errors import InputError
from tmelt.llm.tools import ToolLimits, ToolResult
from tmelt.search.history import History, Proposal
from tmelt.search.notes import Ended, Oversight
from tmelt.strategies import Context
from tmelt.strategies.agent import MEMORY_TOKENS, Base, base_of, refuse_repeat, task_text, words_of
from tmelt.strategies.boundaries import Boundaries
from tmelt.strategies.kind import ASKED, Kind
from tmelt.strategies.memory import NOT_RUN, TOKENS_MIN
from tmelt.strategies.stop import UNUSABLE
from tmelt.strategies.topology import Branch, TopologyOptions, branch_of

if TYPE_CHECKING:
    from tmelt.coder.session import Plan, Sessions, SessionsSpent
    from tmelt.study.config import Config

PROMPT = "Read program.md in this folder and do what it says."
_HOST = re.compile(r"^(\*\.)?[A-Za-z0-9_.-]+(:\d{1,5})?$")
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_LINE = re.compile(r"^(Hypothesis|Expected effect|From):[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)
_NUMBER = re.compile(r"[-+−]?\d+(?:\.\d+)?")
_TEXT = 4000


class SessionLimits(BaseModel):
    """What the sessions of one search may cost together, as the tool reports it; checked before each session."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    usd: float | None = Field(None, gt=0, description="dollars; a session that does not report its own ends the search")
    calls: int | None = Field(None, ge=1, description="calls of a model; a session that reports none counts as one")


class CoderOptions(TopologyOptions):
    """Options of a coding agent."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    command: tuple[str, ...] = Field(
        min_length=1,
        description="words of the command; in them {prompt} stands for what it is to do, {usd_left} and {calls_left}"
        " for what is left of the budget",
    )
    prompt: str = Field(PROMPT, min_length=1, description="what {prompt} stands for")
    env: tuple[str, ...] = Field((), description="names of environment variables that it gets, such as its key")
    variables: dict[str, str] = Field(default_factory=dict, description="further variables, by name")
    network: tuple[str, ...] = Field(
        (), description="hosts that it may reach: `host` for HTTPS, `host:port`, `*.domain`; none: no network"
    )
    read: tuple[str, ...] = Field((), description="files and folders that it needs, such as its own; read-only")
    home: str | None = Field(
        None, description="folder that its home is a copy of, for a tool that keeps its login there"
    )
    minutes: float = Field(20, gt=0, le=100, description="wall-clock minutes of one session")
    memory_mb: int = Field(4000, ge=100, description="resident memory of the command's processes")
    disk_mb: int = Field(1000, ge=10, description="of workspace and home")
    processes: int = Field(256, ge=4)
    budget: SessionLimits | None = Field(None, description="of each trajectory")
    reported: Reported = Reported()
    tools: ToolLimits | None = Field(ToolLimits(), description="limits of ./check and ./try; none: there are none")
    memory_tokens: int = Field(MEMORY_TOKENS, ge=TOKENS_MIN, description="length of history/summary.md")
    boundaries: Boundaries | None = Field(None, description="what scripts may change; null: everything")
    stop_after_unusable: int | None = Field(
        5, ge=1, description="sessions without a usable proposal in a row that end a search; null: it goes on"
    )

    @field_validator("tools", mode="before")
    @classmethod
    def _spelled_out(cls, tools: Any) -> Any:
        return None if tools == "none" else tools

    @field_validator("network")
    @classmethod
    def _hosts(cls, network: tuple[str, ...]) -> tuple[str, ...]:
        for entry in network:
            if not _HOST.match(entry):
                raise ValueError(f"{entry!r}: write host, host:port or *.domain, without http://")
        return network

    @field_validator("env")
    @classmethod
    def _names(cls, env: tuple[str, ...]) -> tuple[str, ...]:
        for name in env:
            if not _NAME.match(name):
                raise ValueError(f"{name!r}: write the variable's name; its value is taken from the environment")
        return env

    @property
    def keys(self) -> dict[str, str]:
        """The variables of `env` with their values.

        Raises:
            InputError: one is not set.
        """
        for name in self.env:
            if not os.environ.get(name):
                raise InputError(f"config: env: the environment variable {name} is not set; export it")
        return {name: os.environ[name] for name in self.env}


def propose(history: History, context: Context) -> Proposal:
    """What the command leaves in its workspace."""
    from tmelt.llm.tool_record import tool_usage_of
    from tmelt.llm.transcript import usage_of

    options, sessions = KIND.read(context.options, context.strategy), context.sessions
    if sessions is None:
        raise InputError(f"strategy {context.strategy}: a coding agent needs a folder for its sessions")
    branch = branch_of(history, context, options)
    if stopped := _stop(history, context, options, branch.base):
        return stopped
    session = ProposalSession(history, context, options, sessions, branch)
    proposal = session.proposal()
    usage, used = usage_of(sessions.folder), tool_usage_of(sessions.folder)
    return replace(
        proposal,
        state=(*proposal.state, *branch.notes, *([Oversight(guidance=session.guidance)] if session.guidance else [])),
        tool_calls=used.calls,
        tool_s=used.seconds,
        tool_cpu_s=used.cpu_s,
        tool_device_s=used.device_s,
        cost_usd=usage.cost_usd,
        llm_calls=usage.calls,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        transcripts=("01.json",),
    )


class ProposalSession:
    """One proposal: what goes into the workspace, and what is made of what comes out."""

    def __init__(self, history: History, context: Context, options: CoderOptions, sessions: "Sessions", branch: Branch):
        from tmelt.strategies.guidance import guidance_in_force
        from tmelt.strategies.tools import AgentTools

        self.history, self.context, self.options, self.sessions = history, context, options, sessions
        self.branch, self.base = branch, branch.base
        self.guidance = guidance_in_force(context.folder, context.iteration, sessions.replay)
        self._spent_s = 0.0
        self._uses = 0
        self.tools: AgentTools | None = None
        if options.tools is not None and context.bench is not None:
            self.tools = AgentTools(
                history, context, options.tools, base=self.base, space=context.space, candidate=None
            )

    def proposal(self) -> Proposal:
        """Hold the session and read its result."""
        from tmelt.llm import ReplyError

        record = self.sessions.hold(self.plan())
        raw = record["reply"]["raw"]
        notes = raw["left"]["notes"] or ""
        try:
            base = self._named_base(notes)
            script, declared, knobs = self._candidate(raw["left"]["script"], raw["left"]["knobs"], base, needed=True)
            refuse_repeat(self.history, knobs, script, self.context.target)
            self._require_check(script, knobs)
        except ReplyError as error:
            return self._refused(str(error), raw, notes)
        return Proposal(
            knobs=knobs, script=script, origin="agent", parent=base.trial.iteration, declared_knobs=declared,
            **_account(notes),
        )  # fmt: skip

    def _refused(self, error: str, raw: Mapping[str, Any], notes: str) -> Proposal:
        session = raw["session"]
        ended = {"ok": "", "interrupted": "the session was interrupted; "}.get(
            session["status"],
            f"the command ended with status {session.get('exit')}; "
            if session["status"] == "failed"
            else f"the session was ended at its limit ({session['status']}); ",
        )
        tail = f"\nend of its output:\n{raw['tail']}" if ended and raw["tail"] else ""
        return Proposal(
            knobs=self.base.knobs, script=self.base.script, origin="agent", status="refused",
            parent=self.base.trial.iteration, declared_knobs=tuple(self.base.declared), error=f"{ended}{error}{tail}",
            **_account(notes),
        )  # fmt: skip

    def plan(self) -> "Plan":
        """The session as its record describes it, and how to hold it; nothing is written yet."""
        from tmelt.coder.session import Plan, request_of
        from tmelt.coder.workspace import changed_files, write_workspace
        from tmelt.search.knobs import knobs_from_table
        from tmelt.strategies.memory import remember

        context, options, base = self.context, self.options, self.base
        space = context.space.extended(knobs_from_table(base.declared))
        summary = remember(
            self.history, space, base=base.trial.iteration, tokens=options.memory_tokens,
            script_of=lambda number: base_of(self.history[number], context).script, target=context.target,
        )  # fmt: skip
        program, contract = self._program(), _contract()
        workspace = Path(context.folder) / f"i{context.iteration}" / "workspace"
        own = {"prompt": options.prompt, "network": list(options.network), "variables": dict(options.variables)}
        return Plan(
            request=request_of(options.command, own, program, summary, base.script, base.knobs),
            workspace=workspace,
            prepare=lambda: write_workspace(
                workspace, self.history, context, base, program=program, contract=contract, summary=summary,
                commands=("check", "try") if self.tools is not None else (),
            ),
            changed=lambda: any(changed_files(workspace, base)),
            run=lambda: self._run(workspace),
            reported=options.reported,
            secrets=[os.environ[name] for name in options.env if os.environ.get(name)],
        )  # fmt: skip

    def _run(self, workspace: Path) -> Any:
        from tmelt.coder.confined import Grant, run_confined
        from tmelt.coder.desk import Desk

        options = self.options
        left = _left(options, _spent(self.context))
        command = [
            word.replace("{prompt}", options.prompt)
            .replace("{usd_left}", "" if left["usd"] is None else f"{left['usd']:.4f}")
            .replace("{calls_left}", "" if left["calls"] is None else str(left["calls"]))
            for word in options.command
        ]
        grant = Grant(
            environment={**options.variables, **options.keys},
            read=[_existing(path) for path in options.read],
            network=options.network,
            home=None if options.home is None else _existing(options.home),
            wall_s=60 * options.minutes,
            memory_mb=options.memory_mb,
            processes=options.processes,
            disk_mb=options.disk_mb,
        )

        def serve(sockets: Path) -> Desk | None:
            return None if self.tools is None else Desk(sockets, self._answer)

        return run_confined(
            command, workspace, grant, sandbox=self.sessions.sandbox, hidden=self.sessions.hidden, serve=serve
        )

    def _program(self) -> str:
        from tmelt.strategies.left import journaled
        from tmelt.strategies.program import fill_program, program_path

        context = self.context
        values = {
            "task": task_text({**(context.facts or {}), "training seeds of a trial": self.history[0].seeds}),
            "knobs": context.space.markdown(),
            "tools": self._tools_text(),
            "boundaries": self.options.boundaries.text() if self.options.boundaries is not None else "",
            "guidance": self.guidance,
            "left": journaled(context, self.sessions.replay, self._left_text),
            "iteration": str(context.iteration),
            "base": str(self.base.trial.iteration),
            **self.branch.values,
        }
        return "\n".join(fill_program(program_path("coder"), values, words_of(context.target)))

    def _tools_text(self) -> str:
        limits = self.options.tools
        if limits is None:
            return ""
        return (
            "- `./check` checks `train.py` with `knobs.json` as they are now, and rehearses them on 64 proteins. A"
            " script that fails it is no trial.\n"
            "- `./try [--share 0.5] [--seconds 10]` fits them on a share of the proteins of fit for so many"
            " seconds, and tells the error on early-stopping proteins, what the script reported, and its log. It costs"
            " no trial.\n"
            f"- In all you have {limits.calls} uses of the two, and {limits.device_s:g} s of fit and predict."
        )

    def _left_text(self) -> str:
        context, lines = self.context, []
        if context.iterations is not None:
            after = max(0, context.iterations - context.iteration)
            lines.append(f"Trial {context.iteration} of {context.iterations}; {after} more after it.")
        lines.append(f"This session may take {self.options.minutes:g} minutes.")
        left = _left(self.options, _spent(context))
        if left["usd"] is not None:
            lines.append(f"${left['usd']:.2f} are left for this and all later sessions.")
        if left["calls"] is not None:
            lines.append(f"{left['calls']} calls of a model are left for this and all later sessions.")
        return "\n".join(f"- {line}" for line in lines)

    def _named_base(self, notes: str) -> Base:
        """The trial that the agent says it started from; its parent where it says nothing."""
        from tmelt.llm import ReplyError

        said = _fields(notes).get("from", "")
        if not said:
            return self.base
        number = re.search(r"\d+", said)
        if number is None or int(number[0]) >= len(self.history) or self.history[int(number[0])].status in NOT_RUN:
            raise ReplyError(f"NOTES.md: From: {said[:40]}: expected the number of a trial that ran")
        return self.branch.named(int(number[0]), self.history, self.context)

    def _candidate(self, script: str | None, knobs: str | None, base: Base, *, needed: bool) -> Any:
        """(script, declared knobs, complete knobs) of the two files.

        Raises:
            ReplyError: what is wrong with them.
        """
        from tmelt.llm import ReplyError
        from tmelt.strategies.ua import checked_candidate

        if script is None:
            raise ReplyError("train.py: missing, not UTF-8 text, or too long")
        try:
            values = json.loads(knobs) if knobs is not None else None
        except (ValueError, RecursionError) as error:
            raise ReplyError(f"knobs.json: not valid JSON ({error})") from None
        if not isinstance(values, dict):
            raise ReplyError("knobs.json: expected an object of knobs and their values")
        changes = {name: value for name, value in values.items() if name not in base.knobs or value != base.knobs[name]}
        return checked_candidate(script, changes, base, self.context, self.options.boundaries, needed=needed)

    def _require_check(self, script: str, knobs: Mapping[str, Any]) -> None:
        """Check a script that has not worked in a trial, as the agent might have done itself."""
        from tmelt.llm import ReplyError
        from tmelt.storage.files import sha256_text

        worked = any(trial.ok and trial.script == sha256_text(script) for trial in self.history)
        if self.tools is None or worked or script == self.context.reference or self.sessions.passed(script, knobs):
            return
        tools, asked = self.tools, {"script_sha256": sha256_text(script), "knobs": dict(knobs)}
        result = self.sessions.use("check", asked, lambda: tools.checked(script, knobs))
        if not result.ok:
            raise ReplyError(f"the script did not pass ./check, so it is no trial. {result.text}")

    def _answer(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """The result of ./check or ./try, recorded with the session."""
        from tmelt.llm import ReplyError

        limits, tools = self.options.tools, self.tools
        assert limits is not None and tools is not None
        try:
            if name not in ("check", "try"):
                raise ReplyError(f"there is no command {name!r}")
            if self._uses >= limits.calls:
                raise ReplyError(f"all {limits.calls} uses of ./check and ./try are spent")
            left = limits.device_s - self._spent_s
            if left < 1:
                raise ReplyError(f"no seconds are left of the {limits.device_s:g} s for ./check and ./try")
            share = _amount(arguments, "share", 1.0, 1.0)
            seconds = min(left, _amount(arguments, "seconds", left, float("inf")))
            texts = [arguments.get(key) if isinstance(arguments.get(key), str) else None for key in ("script", "knobs")]
            script, _, knobs = self._candidate(texts[0], texts[1], self.base, needed=False)
        except ReplyError as error:
            return ToolResult(f"not run: {error}", ok=False)

        def run() -> ToolResult:
            if name == "check":
                return tools.checked(script, knobs)
            return tools.tried_out(script, knobs, share, seconds)

        asked: dict[str, Any] = {"script": script, "knobs": dict(knobs)}
        if name == "try":
            asked |= {"share": share, "seconds": seconds}
        result = self.sessions.use(name, asked, run)
        self._uses += 1
        self._spent_s += result.seconds
        return result


def _amount(arguments: Mapping[str, Any], name: str, default: float, most: float) -> float:
    from tmelt.llm import ReplyError

    value = arguments.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise ReplyError(f"{name}: a number above 0" + (f" and up to {most:g}" if most == 1 else ""))
    return float(value)


def _spent(context: Context) -> "SessionsSpent":
    from tmelt.coder.session import spent_before

    return spent_before(Path(context.folder), context.iteration)


def _left(options: CoderOptions, spent: "SessionsSpent") -> dict[str, Any]:
    """What is left of the budget; None where there is no limit."""
    limits = options.budget or SessionLimits()
    return {
        "usd": None if limits.usd is None else max(0.0, limits.usd - spent.usd),
        "calls": None if limits.calls is None else max(0, limits.calls - spent.calls),
    }


def _stop(history: History, context: Context, options: CoderOptions, base: Base) -> Proposal | None:
    """The end of the search, where the budget is spent or nothing usable comes."""
    reason, state = "", list[Ended]()
    if options.budget is not None:
        spent = _spent(context)
        left = _left(options, spent)
        if options.budget.usd is not None and spent.unknown:
            reason = (
                f"budget.usd: {spent.unknown} sessions did not report what they cost; set `reported` to the tool's own"
                " figures, or limit `calls` instead"
            )
        elif left["usd"] == 0:
            reason = f"the budget of {options.budget.usd:g} dollars is spent ({spent.usd:.4f} used)"
        elif left["calls"] == 0:
            reason = f"the budget of {options.budget.calls} calls is spent ({spent.calls} used)"
    if not reason and options.stop_after_unusable is not None:
        count = 0
        for trial in reversed(history):
            if trial.origin != "agent" or trial.status != "refused":
                break
            count += 1
        if count >= options.stop_after_unusable:
            state = [Ended(cause=UNUSABLE)]
            reason = (
                f"{count} sessions in a row left no usable proposal (stop_after_unusable:"
                f" {options.stop_after_unusable}); the last one: {history[-1].error}"
            )
    if not reason:
        return None
    return Proposal(
        knobs=base.knobs, script=base.script, origin="agent", status="stopped", parent=base.trial.iteration,
        declared_knobs=tuple(base.declared), error=reason, state=state,
    )  # fmt: skip


def _fields(notes: str) -> dict[str, str]:
    return {match[1].lower(): match[2].strip() for match in _LINE.finditer(notes)}


def _account(notes: str) -> dict[str, Any]:
    """Hypothesis, expected effect and rationale out of NOTES.md."""
    found = _fields(notes)
    number = _NUMBER.search(found.get("expected effect", ""))
    effect = float(number[0].replace("−", "-")) if number else None
    return {
        "hypothesis": found.get("hypothesis", "")[:2000],
        "expected_effect": effect if effect is not None and abs(effect) <= 1000 else None,
        "rationale": _LINE.sub("", notes).strip()[:_TEXT],
    }


def _contract() -> str:
    from importlib.resources import files

    return (files("tmelt") / "candidate/CONTRACT.md").read_text(encoding="utf-8")


def _existing(path: str) -> Path:
    found = Path(path).expanduser()
    if not found.exists():
        raise InputError(f"config: {path}: no such file or folder; correct `read` or `home`")
    return found


def _check(options: CoderOptions, config: "Config", strategy: str) -> None:
    """Before a study begins: what a session needs is here. A replay starts none, and a begun study has its sessions."""
    if config.replay_from is not None or config.runtime.replay == "strict":
        return
    if Path("results", config.study, "protocol.json").exists():
        return
    import shutil

    from tmelt.coder.confined import refuse_unusable

    refuse_unusable(config.design.sandbox)
    if shutil.which("git") is None:
        raise InputError(f"config: extent.strategies.{strategy}: kind: coder needs git, which is not installed here")
    _ = options.keys
    for path in (*options.read, *([options.home] if options.home else [])):
        _existing(path)


KIND = Kind(
    "coder",
    "coding agent",
    propose,
    CoderOptions,
    order=95,
    origins=ASKED,
    agent=True,
    external=True,
    writes_scripts=True,
    defaults={"tools": {}, "memory_mb": 4000},
    check=_check,
)
