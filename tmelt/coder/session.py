"""Sessions of a coding agent: one per proposal, recorded like a call of a model, paid once, replayed without starting.

The record `llm/01.json` has the form of tmelt.llm.transcript, so that replay, verification, costs and the report treat
it as they treat any call. Beside it lie what the command printed (`01.log`) and what its tool reported (`01.report`).

A session that was killed half-way leaves its workspace. If that holds a change of train.py or knobs.json, it is the
session's result, at an unknown price; otherwise the command is started again, and the lost session is counted.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tmelt.coder.confined import Ended, NotStarted
from tmelt.coder.reported import Reported, figures, version
from tmelt.coder.workspace import Left, read_inside, read_left
from tmelt.errors import InputError
from tmelt.harness.sandbox import remove_tree
from tmelt.llm.replay import reusable, strictly_recorded
from tmelt.llm.taken_over import missing, taken_over
from tmelt.llm.tool_record import recorded_or_run, tools_name
from tmelt.llm.tools import ToolResult
from tmelt.llm.transcript import (
    earlier_attempts,
    locked,
    pending_name,
    read_record,
    record_name,
    records,
    supersede,
    write_record,
)
from tmelt.storage.files import sha256_json, sha256_text, write_text

_REPORT_BYTES = 20 << 20
_LOCK_WAIT_S = 7200.0
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Plan:
    """One session as its record describes it, and how to hold it.

    Attributes:
        request: what decides about the result, in the form of a call's request: model, parameters, messages.
        workspace: folder to work in.
        prepare: makes the workspace.
        changed: whether the workspace holds another train.py or knobs.json than at the start.
        run: starts the command with what answers its tools, and waits for its end.
        reported: where the tool's own figures are.
        secrets: values that no file may hold.
    """

    request: Mapping[str, Any]
    workspace: Path
    prepare: Callable[[], None]
    changed: Callable[[], bool]
    run: Callable[[], Ended]
    reported: Reported
    secrets: Sequence[str]


class Sessions:
    """The session of one proposal."""

    def __init__(self, folder: Path, replay: str, *, sandbox: str, hidden: Path, source: Path | None = None):
        """Start nothing.

        Args:
            folder: …/i{iteration}/llm.
            replay: see tmelt.llm.replay.
            sandbox: `design.sandbox`.
            hidden: the folder of results.
            source: the other study whose records were copied into `folder`; nothing is started then.
        """
        self.folder = folder
        self.replay = replay if source is None else "strict"
        self.sandbox, self.hidden = sandbox, hidden
        self._source = None if source is None else str(source)
        self._hash = ""
        self._uses = 0

    def hold(self, plan: Plan) -> dict[str, Any]:
        """The record of the session: found, or made now.

        Raises:
            InputError: strict replay found a difference or nothing; or the command cannot be started.
            InfrastructureError: the sandbox failed.
        """
        self._hash, self._uses = sha256_json(plan.request), 0
        if self.replay == "strict":
            record = self._recorded(plan.request)
        else:
            with locked(self.folder, _LOCK_WAIT_S):
                record = self._reusable() or self._fresh(plan)
            if plan.workspace.exists():  # also when an earlier process was killed right after the record was written
                remove_tree(plan.workspace)
        self._uses = record["uses"]
        return record

    def use(self, name: str, arguments: Mapping[str, Any], run: Callable[[], ToolResult]) -> ToolResult:
        """The result of a tool of this session: recorded, or run now and recorded."""
        path = self.folder / tools_name(1)
        result = recorded_or_run(path, self._uses, self._hash, name, arguments, run, self.replay)
        self._uses += 1
        return result

    def passed(self, script: str, knobs: Mapping[str, Any]) -> bool:
        """Whether the agent has checked or tried this very candidate with success."""
        path = self.folder / tools_name(1)
        calls = read_record(path)["calls"][: self._uses] if path.exists() and self._uses else []
        asked = [
            (call["arguments"].get("script"), call["arguments"]["knobs"]) for call in calls if call["result"]["ok"]
        ]
        return (script, dict(knobs)) in asked

    def _reusable(self) -> dict[str, Any] | None:
        if self.replay == "fill":
            return reusable(self.folder, 1, self._hash)
        if (path := self.folder / record_name(1)).exists():
            supersede(path)
        return None

    def _recorded(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self._source is not None:
            record = taken_over(self.folder, 1, self._hash, request, self._source)
            if record is None:
                raise missing(self.folder / record_name(1), "session", self._source)
            self._hash = record["request_hash"]
            return record
        record = strictly_recorded(self.folder, 1, self._hash, request)
        if record is None:
            raise InputError(f"{self.folder / record_name(1)}: strict replay: this session is not recorded")
        return record

    def _fresh(self, plan: Plan) -> dict[str, Any]:
        pending = self.folder / pending_name(1)
        attempts = earlier_attempts(pending, self._hash)
        record: dict[str, Any] = {
            "format": 1,
            "number": 1,
            "purpose": "session",
            "request_hash": self._hash,
            "request": dict(plan.request),
            "price": None,
            "reserved": {"prompt_tokens": 0, "completion_tokens": 0, "usd": None},
            "attempts": attempts,
            "reply": None,
            "usage": None,
            "cost_usd": None,
        }
        if attempts and plan.workspace.is_dir() and plan.changed():
            attempts[-1]["outcome"] = INTERRUPTED  # and not lost: its result is used
            return self._write(record, plan, None, read_left(plan.workspace), {})
        plan.prepare()
        attempts.append({"time": _now(), "outcome": "in flight", "latency_s": None, "error": None})
        write_record(pending, record)
        begun = time.monotonic()
        try:
            ended = plan.run()
        except (InputError, NotStarted):  # nothing can have been paid
            pending.unlink(missing_ok=True)
            raise
        attempts[-1] |= {"outcome": "replied", "latency_s": round(time.monotonic() - begun, 3)}
        report = self._keep(plan, ended)
        found = {**figures(report, plan.reported), "version": version(report, plan.reported)}
        return self._write(record, plan, ended, read_left(plan.workspace), found)

    def _keep(self, plan: Plan, ended: Ended) -> str:
        """Keep what the command printed and reported; return the report."""
        blocked = "".join(f"refused: {host}, {count} times\n" for host, count in sorted(ended.refused.items()))
        log = f"{ended.stdout}\n--- standard error ---\n{ended.stderr}\n--- network ---\n{blocked or 'none refused'}\n"
        write_text(self.folder / "01.log", _scrubbed(log, plan.secrets))
        if plan.reported.file is None:
            return ended.stdout
        content = read_inside(plan.workspace, plan.reported.file, _REPORT_BYTES) or b""
        report = _scrubbed(content.decode("utf-8", "replace"), plan.secrets)
        write_text(self.folder / "01.report", report)
        return report

    def _write(
        self, record: dict[str, Any], plan: Plan, ended: Ended | None, left: Left, found: Mapping[str, Any]
    ) -> dict[str, Any]:
        status = INTERRUPTED if ended is None else ended.status
        left = Left(**{key: text and _scrubbed(text, plan.secrets) for key, text in asdict(left).items()})
        about = {} if ended is None else {key: getattr(ended, key) for key in ("exit", "wall_s", "cpu_s", "refused")}
        about["version"] = found.get("version")
        record |= {
            "reply": {
                "text": left.notes or "",
                "reasoning": "",
                "reasoning_tokens": None,
                "refusal": None,
                "tool_calls": [],
                "error": None,
                "finish_reason": status,
                "truncated": status not in ("ok", "failed"),
                "raw": {"left": asdict(left), "session": {"status": status, **about}, "tail": _tail(ended, plan)},
            },
            "usage": {
                "prompt_tokens": found.get("prompt_tokens"),
                "completion_tokens": found.get("completion_tokens"),
                "cached_tokens": None,
                "model_calls": found.get("calls"),
            },
            "cost_usd": found.get("cost_usd"),
            "latency_s": record["attempts"][-1]["latency_s"],
            "time": _now(),
            "unusable": None,
            "uses": self._uses if ended is not None else _recorded_uses(self.folder, self._hash),
        }
        sealed = write_record(self.folder / record_name(1), record)
        (self.folder / pending_name(1)).unlink(missing_ok=True)
        return sealed


@dataclass(frozen=True)
class SessionsSpent:
    """What earlier sessions of a search used.

    Attributes:
        usd: dollars that were reported.
        calls: of a model, as reported; a session without a report counts as one.
        unknown: sessions whose dollars are not known.
    """

    usd: float = 0.0
    calls: int = 0
    unknown: int = 0


def spent_before(trajectory: Path, iteration: int) -> SessionsSpent:
    """What the sessions of all trials before `iteration` used, superseded and interrupted ones included."""
    usd, calls, unknown = 0.0, 0, 0
    for number in range(1, iteration):
        for _, record in records(trajectory / f"i{number}" / "llm"):
            lost = sum(attempt["outcome"] in ("lost", "in flight") for attempt in record["attempts"])
            told = record["usage"] or {}
            calls += lost + (told.get("model_calls") or 1 if record["reply"] is not None else 0)
            unknown += lost + (record["reply"] is not None and record["cost_usd"] is None)
            usd += record["cost_usd"] or 0.0
    return SessionsSpent(usd, calls, unknown)


def command_name(command: Sequence[str]) -> str:
    """What a transcript names as the model: the program."""
    return f"coder:{Path(command[0]).name}"


def request_of(
    command: Sequence[str], parameters: Mapping[str, Any], program: str, summary: str, script: str,
    knobs: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The request of a session: what decides about its result, and what a replay compares."""
    return {
        "model": command_name(command),
        "parameters": {
            **parameters, "command": list(command), "script_sha256": sha256_text(script), "knobs": dict(knobs),
        },
        "messages": [{"role": "program.md", "content": program}, {"role": "history", "content": summary}],
    }  # fmt: skip


def _recorded_uses(folder: Path, request_hash: str) -> int:
    path = folder / tools_name(1)
    record = read_record(path) if path.exists() else None
    return len(record["calls"]) if record is not None and record["request_hash"] == request_hash else 0


def _tail(ended: Ended | None, plan: Plan) -> str:
    """The end of what the command printed, for a session that left nothing."""
    text = "" if ended is None else (ended.stderr.strip() or ended.stdout.strip())
    return _scrubbed(text[-1500:], plan.secrets)


def _scrubbed(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if len(secret) >= 8:
            text = text.replace(secret, "[key]")
    return text


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
