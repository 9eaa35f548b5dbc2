"""What the page shows of a running study, read from its files."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.front.feed import Arrival, Feed, Search, Spent
from tmelt.front.price import limits_usd, most_usd
from tmelt.search.history import Proposal
from tmelt.study.config import Config
from tmelt.study.lock import Found, find
from tmelt.study.stage import Stage, Stages
from tmelt.study.status import begun_jobs, trials_text

_FAILING = 5  # trials in a row without a score, after which an arm needs a look
_SHOWN_TRIALS = 20


@dataclass(frozen=True)
class Arm:
    """One search as a row."""

    search: Search
    running: tuple[str, ...]
    failed_jobs: tuple[str, ...]
    spent: Spent
    limit_usd: float | None

    @property
    def state(self) -> str:
        """In a word or two."""
        if self.search.stopped is not None:
            return "budget used" if self.search.budget_used else "stopped"
        return "running" if self.search.left else "done"

    @property
    def trials(self) -> str:
        """How many there are, of how many."""
        search = self.search
        text = trials_text(len(search.rows), search.planned, at_most=search.at_most, budget_used=search.budget_used)
        return f"{text} stopped" if self.state == "stopped" else text

    @property
    def failed(self) -> int:
        """Trials without a score."""
        return sum(row["status"] != "ok" for row in self.search.rows)


@dataclass(frozen=True)
class Latest:
    """The newest proposal of any search."""

    search: Search
    iteration: int
    proposal: Proposal
    parent: Proposal | None

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """Knobs that differ from the parent's: name, before, after."""
        before = dict(self.parent.knobs) if self.parent else {}
        names = sorted({*before, *self.proposal.knobs}) if self.parent else []
        pairs = [(name, before.get(name), self.proposal.knobs.get(name)) for name in names]
        return [(name, _shown(old), _shown(new)) for name, old, new in pairs if old != new]


@dataclass(frozen=True)
class State:
    """Everything on the page, at one moment."""

    config: Config
    stage: Stage
    done: int
    planned: int
    at_most: bool  # a budget may end a search before its last planned trial
    ends_in: float | None
    spent: Spent
    limit_usd: float | None
    lock: Found | None
    arms: tuple[Arm, ...]
    trials: tuple[tuple[float, Arrival], ...]  # newest first, with the time of their file
    latest: Latest | None
    alerts: tuple[str, ...]
    read_at: float


class Reader:
    """Reads one study again and again; what was read once is not read again."""

    def __init__(self, config: Config, results: Path):
        self._config, self._results = config, results
        self._feed, self._stages = Feed(config, results), Stages(config, results)
        self._trials: list[tuple[float, Arrival]] = []
        self._begun = False

    def read(self) -> State:
        """Return the study as it is now."""
        arrivals = self._feed.poll()
        if not self._begun:
            self._feed.forget_pace()  # what was there before says nothing about the pace
        self._begun = True
        found = [(_scored_at(arrival), arrival) for arrival in arrivals]
        self._trials = sorted([*self._trials, *found], key=lambda each: each[0], reverse=True)[:_SHOWN_TRIALS]
        lock = find(self._results / self._config.study)
        arms = tuple(self._arms())
        stage = self._stages.now(self._feed.done, self._feed.left)
        return State(
            config=self._config,
            stage=stage,
            done=self._feed.done,
            planned=self._feed.planned,
            at_most=self._feed.at_most,
            ends_in=self._feed.ends_in() if self._feed.left and lock is not None and lock.alive else None,
            spent=self._feed.spent(),
            limit_usd=most_usd(self._config),
            lock=lock,
            arms=arms,
            trials=tuple(self._trials),
            latest=_latest([arm.search for arm in arms]),
            alerts=tuple(_alerts(arms, lock, stage)),
            read_at=time.time(),
        )

    def _arms(self) -> Iterator[Arm]:
        limits = limits_usd(self._config)
        for search in self._feed.searches:
            running: list[str] = []
            failed: list[str] = []
            if search.left:
                last = self._config.extent.most_trials_of(search.strategy)
                running, failed = begun_jobs(search.folder, len(search.rows), last, self._results.parent)
            limit = limits.get(search.strategy)
            yield Arm(search, tuple(running), tuple(failed), Spent.of(search.rows), limit)


def _scored_at(arrival: Arrival) -> float:
    path = arrival.search.folder / f"i{arrival.row['iteration']}" / "history.parquet"
    return path.stat().st_mtime if path.exists() else time.time()


def _alerts(arms: Sequence[Arm], lock: Found | None, stage: Stage) -> Iterator[str]:
    """What the user should look at, the worst first."""
    for arm in arms:
        yield from (f"job failed: {arm.search.name} {job}" for job in arm.failed_jobs)
    for arm in arms:
        if arm.search.stopped is not None and not arm.search.budget_used:
            yield f"{arm.search.name} stopped after {len(arm.search.rows)} trials: {arm.search.stopped}"
    for arm in arms:
        rows = arm.search.rows[-_FAILING:]
        if len(rows) == _FAILING and all(row["status"] != "ok" for row in rows):
            causes = Counter(row["status"] for row in rows).most_common()
            told = ", ".join(f"{status} {count}" for status, count in causes)
            yield f"{arm.search.name}: the last {_FAILING} trials have no score ({told})"
        if arm.spent.unpriced:
            yield f"{arm.search.name}: calls of unknown price"
    if stage.name != "report finished" and (lock is None or not lock.alive):
        yield "no process runs this study: start it again to go on" + (f" ({lock.how_dead})" if lock else "")


def _latest(searches: Sequence[Search]) -> Latest | None:
    """The newest proposal, of a trial that is scored or not; agents' before samplers', which give no reasons."""
    newest: tuple[bool, float, Search, int] | None = None
    for search in searches:
        for iteration in (len(search.rows), len(search.rows) - 1):
            path = search.folder / f"i{iteration}" / "proposal.json"
            if iteration > 0 and path.exists():
                found = (_has_reason(path), path.stat().st_mtime, search, iteration)
                newest = found if newest is None or found[:2] > newest[:2] else newest
    if newest is None:
        return None
    _, _, search, iteration = newest
    try:
        proposal = Proposal.read(search.folder / f"i{iteration}")
        parent = None if proposal.parent is None else Proposal.read(search.folder / f"i{proposal.parent}")
    except InputError:  # being written, or damaged: the study itself says so
        return None
    return Latest(search, iteration, proposal, parent)


def _has_reason(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")).get("rationale"))
    except (OSError, ValueError):
        return False


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
