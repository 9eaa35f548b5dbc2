"""Sessions of coding agents as the report tells them, from their records (tmelt.coder.session)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.llm.transcript import read_record
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import DASH, count, dollars, seconds

RECORD, LOG = "01.json", "01.log"


@dataclass(frozen=True)
class Session:
    """One session.

    Attributes:
        strategy, trajectory, iteration: of its trial.
        status: ok, failed, timeout, memory, processes, disk or interrupted.
        exit: the command's exit status; None where it was ended or interrupted.
        wall_s: seconds of wall-clock time; None where it was interrupted.
        calls, tokens, cost_usd, version: as the tool reported them; None where it did not.
        refused: connections to hosts that are not granted, by host and port.
        log: what the command printed, relative to the study's folder; None where there is none.
    """

    strategy: str
    trajectory: int
    iteration: int
    status: str
    exit: int | None
    wall_s: float | None
    calls: int | None
    tokens: tuple[int, int] | None
    cost_usd: float | None
    version: str | None
    refused: Mapping[str, int]
    log: str | None

    @property
    def end(self) -> str:
        """How it ended, in words."""
        return f"{self.status} (exit status {self.exit})" if self.status == "failed" else self.status

    @property
    def words(self) -> str:
        """What it used, in one line; what the tool did not report is unknown, never 0."""
        parts = [
            self.end,
            "" if self.wall_s is None else seconds(self.wall_s),
            "calls unknown" if self.calls is None else count(self.calls, "call"),
            dollars(self.cost_usd) if self.cost_usd is not None else "dollars unknown",
            "" if self.version is None else f"version {self.version}",
            "" if self.log is None else f"log {self.log}",
        ]
        return ", ".join(filter(None, parts))


def sessions(study: ReportStudy, strategy: str) -> Iterator[Session]:
    """The sessions of all trials of a strategy whose kind starts a program of the user's, in order."""
    trials = study["trials"].filter(strategy=strategy).sort("trajectory", "iteration")
    for trajectory, iteration in trials.select("trajectory", "iteration").iter_rows():
        if found := session_of(study, strategy, trajectory, iteration):
            yield found


def session_of(study: ReportStudy, strategy: str, trajectory: int, iteration: int) -> Session | None:
    """The session of a trial; None where it has none, or its record is damaged."""
    folder = study.trial_folder(strategy, trajectory, iteration) / "llm"
    if not (folder / RECORD).is_file():
        return None
    try:
        record = read_record(folder / RECORD)
        return _session(study, strategy, trajectory, iteration, record, folder)
    except (InputError, KeyError, TypeError, AttributeError):
        return None


def _session(
    study: ReportStudy, strategy: str, trajectory: int, iteration: int, record: Mapping[str, Any], folder: Path
) -> Session | None:
    raw = record["reply"].get("raw") or {}
    if "session" not in raw:
        return None
    held, usage = raw["session"], record["usage"]
    tokens = (usage["prompt_tokens"], usage["completion_tokens"])
    log = folder / LOG
    return Session(
        strategy,
        trajectory,
        iteration,
        status=held["status"],
        exit=held.get("exit"),
        wall_s=held.get("wall_s"),
        calls=usage["model_calls"],
        tokens=None if None in tokens else tokens,
        cost_usd=record["cost_usd"],
        version=held.get("version"),
        refused=held.get("refused") or {},
        log=str(log.relative_to(study.folder)) if log.is_file() else None,
    )


def known_sum(values: list[float | None], say: Any) -> str:
    """A sum of what is known, and of how many it is; a dash where nothing is."""
    known = [value for value in values if value is not None]
    if not values:
        return DASH
    if not known:
        return "unknown"
    return say(sum(known)) + ("" if len(known) == len(values) else f" in {len(known)} of {len(values)}")
