"""Tools of agents: look at trials, and for agents that write scripts check one and try it out.

What they tell of errors is what prompts tell: coarse errors of trials, and the harness's measurement on early-stopping
proteins. All but `check` and `try_out` read the history that the agent was given, and nothing else.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tmelt.llm.errors import ReplyError
from tmelt.llm.tools import ToolCall, ToolLimits, ToolResult, ToolSpec, without_calls
from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Space, Value
from tmelt.storage.files import canonical_json, sha256_text
from tmelt.strategies import Context
from tmelt.strategies.agent import Base, base_of
from tmelt.strategies.coarse import coarse, told_mae
from tmelt.strategies.memory import changes_between, format_value, shorten, trial_text
from tmelt.strategies.outcomes import curve_text, dead_knobs, epochs_text, stop_errors_text, stop_text
from tmelt.strategies.tokens import estimate_tokens
from tmelt.study.target import Target
from tmelt.text.diff import unified_lines

if TYPE_CHECKING:
    from tmelt.llm import Conversation

RESULT_TOKENS = 6000  # of one result
FOUND_MAX = 12
LOG_LINES = 40
SHARE, SECONDS_LEAST = 1.0, 1.0

_TRIAL = {"type": "integer", "description": "number of a trial"}
_KNOBS = {"type": "object", "description": "knobs with other values than in the trial it starts from"}
_SCRIPT = {
    "type": "string",
    "description": "a whole script, or SEARCH/REPLACE edits; left out, they are taken from the text of your reply, and"
    " if there are none the script stays",
}
_FROM = {"type": "integer", "description": "trial that edits and knobs start from; left out, the one of your task"}

LOOK = (
    ToolSpec("trial", "everything about a trial", {"n": _TRIAL}, ("n",)),
    ToolSpec("compare", "two trials side by side: knobs, outcomes, difference of scripts",
             {"a": _TRIAL, "b": _TRIAL}, ("a", "b")),
    ToolSpec("curve", "a trial's error on stop by epoch", {"n": _TRIAL}, ("n",)),
    ToolSpec("errors", "a trial's errors on early-stopping proteins by group, label and length, and the worst of them",
             {"n": _TRIAL}, ("n",)),
    ToolSpec("knob", "a knob's range, and every trial's value and outcome", {"name": {"type": "string"}}, ("name",)),
    ToolSpec("find", "trials whose ideas, reasons, logs or scripts hold a text", {"text": {"type": "string"}},
             ("text",)),
)  # fmt: skip
SCRIPTS = (ToolSpec("script", "a trial's training script", {"n": _TRIAL}, ("n",)),)
RUN = (
    ToolSpec("check", "static check of a script and a rehearsal on 64 proteins in the sandbox",
             {"script": _SCRIPT, "knobs": _KNOBS, "from": _FROM}),
    ToolSpec("try_out", "a short fit on fit and stop: error on stop, reports, log; no trial is spent",
             {"script": _SCRIPT, "knobs": _KNOBS, "from": _FROM,
              "share": {"type": "number", "description": "of fit, above 0 to 1; default 1"},
              "seconds": {"type": "number", "description": "of fit; default and most: what is left"}}),
)  # fmt: skip


class ShortRuns(Protocol):
    """What `check` and `try_out` run on: tmelt.harness.bench.Bench."""

    def check(self, script: str, knobs: Mapping[str, Value]) -> Any:
        """A rehearsal."""

    def try_out(self, script: str, knobs: Mapping[str, Value], share: float, seconds: float) -> Any:
        """A short fit."""


Candidate = tuple[str, Sequence[Mapping[str, Any]], Mapping[str, Value]]  # script, declared knobs, complete knobs


class AgentTools:
    """The tools of one proposal."""

    def __init__(
        self,
        history: History,
        context: Context,
        limits: ToolLimits,
        *,
        base: Base,
        space: Space,
        candidate: Callable[[str, Mapping[str, Any], Base], Candidate] | None,
    ):
        """Offer the tools of an agent.

        Args:
            history: as the agent knows it.
            context: of the trial to propose.
            limits: what they may use.
            base: the trial that changes start from.
            space: knobs of the study and of the base's script.
            candidate: makes a candidate of a text, changes of knobs and a base, or raises ReplyError; None for agents
                that write no scripts.
        """
        self.limits = limits
        self.history, self._context, self._base, self._space = history, context, base, space
        self._candidate = candidate
        self._told = 0  # tokens of results
        self._spent = 0.0  # seconds of check and try_out
        self._passed: set[str] = set()

    @property
    def specs(self) -> list[ToolSpec]:
        """The tools on offer."""
        runs = RUN if self._candidate is not None and self._context.bench is not None and self.limits.device_s else ()
        return [*LOOK, *(SCRIPTS if self._candidate is not None else ()), *runs]

    def text(self, native: bool) -> str:
        """The prompt's part about tools."""
        names = {spec.name for spec in self.specs}
        lines = [
            "Before you reply you may use tools; their results come at once. A reply that uses tools holds no proposal."
            f" In all you have {self.limits.calls} uses of tools and {self.limits.tokens} tokens of results"
            + (f", and {self.limits.device_s:g} s of `check` and `try_out`." if "try_out" in names else "."),
            *(spec.line() for spec in self.specs),
        ]
        if not native:
            lines.append(
                "To use one, reply with a block like this, or with several; `?` marks arguments that may be left out:"
                '\n\n```tool\n{"name": "trial", "arguments": {"n": 0}}\n```'
                + (
                    "\n\nThe script, or edits of it, may stand outside the block, as in a final reply."
                    if self._candidate is not None
                    else ""
                )
            )
        if self._candidate is not None and self._context.bench is not None:
            lines.append(
                "\nA new script has to pass `check` before it becomes a trial. It is checked for you if you did not;"
                " one that fails comes back to you with the reason."
            )
        return "\n".join(lines)

    def run(self, call: ToolCall, text: str) -> ToolResult:
        """Run a tool; a fault of the call is a result that says so."""
        if call.name not in {spec.name for spec in self.specs}:
            return self._told_within(ToolResult(f"there is no tool {call.name!r}", ok=False))
        try:
            result = getattr(self, f"_{call.name}")(call.arguments, text)
        except (ReplyError, _BadArgument) as error:
            result = ToolResult(f"not run: {error}", ok=False)
        return self._told_within(result)

    def note(self, call: ToolCall, text: str, result: ToolResult) -> None:
        """Count what a tool used and remember which scripts passed, whether the result is fresh or recorded."""
        self._told += estimate_tokens(result.text)
        self._spent += result.seconds
        if call.name in ("check", "try_out") and result.ok:
            self._passed.add(_key(*self._written(call.arguments, text)))

    def _told_within(self, result: ToolResult) -> ToolResult:
        room = min(RESULT_TOKENS, self.limits.tokens - self._told)
        text = shorten(result.text, max(room, 60))
        return ToolResult(text, result.ok, result.seconds, result.cpu_s, result.device_s)

    # What looks at the history.

    def _number(self, arguments: Mapping[str, Any], name: str = "n") -> int:
        number = arguments.get(name)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(self.history):
            raise _BadArgument(f"{name}: a trial's number from 0 to {len(self.history) - 1}")
        return number

    @property
    def _target(self) -> Target:
        return self._context.target

    def _error(self, trial: Trial) -> str:
        return self._target.amount(f"{told_mae(trial):.2f}")

    def _source(self, number: int) -> str:
        return base_of(self.history[number], self._context).script

    @property
    def _scripts(self) -> Callable[[int], str] | None:
        return self._source if self._candidate is not None else None

    def _trial(self, arguments: Mapping[str, Any], text: str) -> ToolResult:
        number = self._number(arguments)
        return ToolResult(f"Trial {number}\n{trial_text(self.history, number, self._scripts, self._target)}")

    def _compare(self, arguments: Mapping[str, Any], text: str) -> ToolResult:
        a, b = (self.history[self._number(arguments, name)] for name in ("a", "b"))
        outcomes = [f"{self._error(t)} on val" if t.ok else t.status for t in (a, b)]
        lines = [f"Trial {a.iteration}: {outcomes[0]}; trial {b.iteration}: {outcomes[1]}"]
        names = [*a.knobs, *(name for name in b.knobs if name not in a.knobs)]
        differing = changes_between(a.knobs, b.knobs).keys() | (a.knobs.keys() - b.knobs.keys())
        rows = [
            f"- {name}: {format_value(a.knobs.get(name, 'not active'), exact=True)} ->"
            f" {format_value(b.knobs.get(name, 'not active'), exact=True)}"
            for name in names
            if name in differing
        ]
        lines += ["knobs:", *rows] if rows else ["the same knobs"]
        for trial in (a, b):
            if told := stop_text(trial, self._target):
                lines += [f"trial {trial.iteration} on early-stopping proteins:", told]
        if a.script == b.script:
            return ToolResult("\n".join([*lines, "the same script"]))
        if self._scripts is not None:
            diff = unified_lines(
                self._source(a.iteration).splitlines(), self._source(b.iteration).splitlines(),
                f"trial {a.iteration}", f"trial {b.iteration}", context=2,
            )  # fmt: skip
            lines += ["```diff", *diff, "```"]
        return ToolResult("\n".join(lines))

    def _curve(self, arguments: Mapping[str, Any], text: str) -> ToolResult:
        trial = self.history[self._number(arguments)]
        told = curve_text(trial)
        if not told:
            return ToolResult(f"trial {trial.iteration} logged no epochs")
        return ToolResult(f"trial {trial.iteration}, epochs trained/best {epochs_text(trial)}; error on stop: {told}")

    def _errors(self, arguments: Mapping[str, Any], text: str) -> ToolResult:
        trial = self.history[self._number(arguments)]
        missing = f"no errors on early-stopping proteins are known of trial {trial.iteration}"
        return ToolResult(stop_text(trial, self._target) or missing)

    def _knob(self, arguments: Mapping[str, Any], text: str) -> ToolResult:
        name = arguments.get("name")
        having = [trial for trial in self.history if name in trial.knobs]
        if not isinstance(name, str) or (name not in self._space and not having):
            raise _BadArgument(f"name: there is no knob {name!r}")
        lines = []
        if name in self._space:
            row = next(row for row in self._space.table() if row["name"] == name)
            lines.append(json.dumps(row, ensure_ascii=False))
        if self._candidate is not None and name in dead_knobs(self._base.script, [name]):
            lines.append(f"dead: the script of {self._base.name} does not read it")
        values: dict[str, list[str]] = {}
        for trial in having:
            outcome = f"{told_mae(trial):.2f}" if trial.ok else trial.status
            values.setdefault(format_value(trial.knobs[name], exact=True), []).append(f"{trial.iteration}: {outcome}")
        lines += [f"- {value}: {len(told)} trials ({', '.join(told[-20:])})" for value, told in values.items()]
        return ToolResult("\n".join(lines))

    def _find(self, arguments: Mapping[str, Any], text: str) -> ToolResult:
        wanted = arguments.get("text")
        if not isinstance(wanted, str) or not wanted.strip():
            raise _BadArgument("text: a text to look for")
        wanted, lines = wanted.strip().lower(), []
        for trial in reversed(self.history):
            places = {key: str(trial.proposal[key] or "") for key in ("hypothesis", "rationale")}
            places |= {"log": trial.error or "", "knobs": canonical_json(trial.knobs)}
            if self._scripts is not None:
                places["script"] = self._source(trial.iteration)
            where = [key for key, place in places.items() if wanted in place.lower()]
            if where:
                outcome = self._error(trial) if trial.ok else trial.status
                idea = " ".join(places["hypothesis"].split())[:90]
                lines.append(f"- trial {trial.iteration} ({outcome}) in {', '.join(where)}: {idea}")
        more = [f"and {len(lines) - FOUND_MAX} earlier ones"] if len(lines) > FOUND_MAX else []
        return ToolResult("\n".join([*lines[:FOUND_MAX], *more]) or "nothing holds it")

    def _script(self, arguments: Mapping[str, Any], text: str) -> ToolResult:
        number = self._number(arguments)
        return ToolResult(f"```python\n{self._source(number).rstrip()}\n```")

    # What runs a script.

    def _written(self, arguments: Mapping[str, Any], text: str) -> tuple[str, Mapping[str, Value]]:
        """The script and the knobs that a call names."""
        changes = arguments.get("knobs") or {}
        if not isinstance(changes, Mapping):
            raise _BadArgument("knobs: an object of knobs and their values")
        base = self._base
        if arguments.get("from") is not None:
            base = base_of(self.history[self._number(arguments, "from")], self._context)
        source = arguments.get("script")
        if source is not None and not isinstance(source, str):
            raise _BadArgument("script: a text")
        assert self._candidate is not None
        script, _, knobs = self._candidate(_fenced_if_bare(source) if source else without_calls(text), changes, base)
        return script, knobs

    def _left(self) -> float:
        left = self.limits.device_s - self._spent
        if left < SECONDS_LEAST:
            raise _BadArgument(f"no seconds are left of the {self.limits.device_s:g} s for `check` and `try_out`")
        return left

    def _check(self, arguments: Mapping[str, Any], text: str) -> ToolResult:
        self._left()
        return self.checked(*self._written(arguments, text))

    def checked(self, script: str, knobs: Mapping[str, Value]) -> ToolResult:
        """The result of a check, whatever seconds are left."""
        tried = self._context.bench.check(script, knobs)
        passed = tried.status in ("ok", "timeout")
        text = "passed" if passed else f"failed: {_failure(tried)}"
        if tried.status == "timeout":
            text += ", though it did not end within the rehearsal's time on 64 proteins"
        return ToolResult(text, passed, tried.seconds, tried.cpu_s, tried.device_s)

    def _try_out(self, arguments: Mapping[str, Any], text: str) -> ToolResult:
        left = self._left()
        share, seconds = arguments.get("share", SHARE), arguments.get("seconds", left)
        for name, value, most in (("share", share, 1.0), ("seconds", seconds, float("inf"))):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
                raise _BadArgument(f"{name}: a number above 0" + (f" and up to {most:g}" if most == 1 else ""))
        return self.tried_out(*self._written(arguments, text), float(share), min(float(seconds), left))

    def tried_out(self, script: str, knobs: Mapping[str, Value], share: float, seconds: float) -> ToolResult:
        """The result of a short fit, whatever seconds are left."""
        tried = self._context.bench.try_out(script, knobs, share, seconds)
        margin = next((trial.margin for trial in reversed(self.history) if trial.margin is not None), None)
        lines = [f"{tried.status} on {tried.proteins} proteins of fit, {tried.seconds:.1f} s of fit and predict"]
        if tried.status != "ok":
            lines.append(_failure(tried))
        if tried.curve:
            told = "; ".join(f"epoch {epoch}: {mae:.2f}" for epoch, mae in tried.curve)
            lines.append(f"error on stop as the script logged it: {told}")
        if tried.stop_errors:
            best = self.history.incumbent
            known = best is not None and best.stop_mae is not None
            reached = self._target.amount(f"{coarse(best.stop_mae, best.margin):.2f}") if known else ""
            lines.append(
                "error on stop as the harness measured it:"
                + (f" (the incumbent, trained in full: {reached})" if known else "")
            )
            lines.append(stop_errors_text(tried.stop_errors, margin, self._target))
        if tried.reports:
            lines.append("reported: " + "; ".join(f"{name}={value:.4g}" for name, value in tried.reports.items()))
        if tried.status == "ok" and tried.log.strip():
            lines.append(f"end of the log of fit:\n{_tail(tried.log)}")
        return ToolResult("\n".join(lines), tried.status == "ok", tried.seconds, tried.cpu_s, tried.device_s)

    # What a new script has to do before it becomes a trial.

    def require_check(self, proposal: Proposal, conversation: "Conversation") -> None:
        """Check a script that has neither worked in a trial nor passed here.

        Raises:
            ReplyError: it failed; the text has the reason.
        """
        script, knobs = proposal.script, proposal.knobs
        worked = any(trial.ok and trial.script == proposal.script_sha256 for trial in self.history)
        if self._context.bench is None or worked or script == self._context.reference:
            return
        if _key(script, knobs) in self._passed:
            return
        asked = {"script_sha256": proposal.script_sha256, "knobs": dict(knobs)}
        result = conversation.use("check", asked, lambda: self.checked(script, knobs))
        self._spent += result.seconds
        if not result.ok:
            raise ReplyError(f"the script did not pass `check`, so it is no trial. {result.text}")


class _BadArgument(ValueError):
    """An argument that a tool cannot take; the text goes to the model."""


def _key(script: str, knobs: Mapping[str, Value]) -> str:
    """What has passed; blank lines around a script depend on how it was sent."""
    return sha256_text(script.strip() + canonical_json(dict(knobs)))


def _fenced_if_bare(source: str) -> str:
    """A script or edits as they would stand in a reply."""
    if "<<<<<<< SEARCH" in source or "```" in source:
        return source
    return f"```python\n{source.rstrip()}\n```\n"


def _failure(tried: Any) -> str:
    """Why a short run failed, with the end of the log of fit."""
    reason = f"{tried.status} ({tried.reason})" if tried.reason else tried.status
    if tried.reason:
        return f"{reason} in predict, of which no message is shown"
    return f"{reason} in fit; the end of its log:\n{_tail(tried.log)}"


def _tail(log: str) -> str:
    return "\n".join(log.strip().splitlines()[-LOG_LINES:])[-3000:].replace("```", "'''")
