"""Finished trials as they arrive, read from a study's files alone: two looks per search while nothing is new."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tmelt.search.fidelity import planned_trials
from tmelt.storage.schema import TRIAL, read_table
from tmelt.study.config import Config
from tmelt.study.status import STOPPED, used_its_budget
from tmelt.text.safe import one_line

_COLUMNS = (
    "iteration", "fidelity", "status", "val_mae", "decision", "incumbent", "cost_usd", "cpu_s", "device_s",
    "tool_cpu_s", "tool_device_s", "error", "origin", "knobs",
)  # fmt: skip
_RECENT = 30  # arrivals that the estimate of the end rests on


@dataclass
class Search:
    """One search as far as it was read."""

    strategy: str
    trajectory: int
    folder: Path
    limit: int  # full trials after the baseline that its budget is
    rows: list[dict[str, Any]] = field(default_factory=list)  # in order of iteration
    stopped: str | None = None  # why it ended before its last planned trial
    budget_used: bool = False  # it ended as planned, because its budget in device seconds or dollars is used
    at_most: bool = False  # whether `planned` is the most, because such a budget may end it earlier

    @property
    def name(self) -> str:
        """Strategy and search."""
        return f"{self.strategy} t{self.trajectory}"

    @property
    def best(self) -> float | None:
        """Validation error of the incumbent."""
        last = next((row for row in reversed(self.rows) if row["incumbent"] is not None), None)
        return self.rows[last["incumbent"]]["val_mae"] if last else None

    @property
    def planned(self) -> int:
        """Trials, the baseline among them; with cheap ones an estimate."""
        return planned_trials(self.rows, self.limit)

    @property
    def left(self) -> int:
        """Trials that are still to come."""
        return 0 if self.stopped is not None else self.planned - len(self.rows)


@dataclass(frozen=True)
class Arrival:
    """A trial that was scored, or the stop of its search."""

    search: Search
    row: dict[str, Any]
    best_before: float | None


class Feed:
    """All searches of a study; `poll` reads what has been scored since."""

    def __init__(self, config: Config, results: Path):
        extent = config.extent
        self.target = config.design.data.target.record
        self.searches = [
            Search(
                strategy,
                number,
                results / config.study / strategy / f"t{number}",
                extent.trials_of(strategy),
                at_most=extent.limit is not None,
            )
            for strategy in extent.strategies
            for number in range(extent.trajectories)
        ]
        self._arrived: list[float] = []

    def poll(self) -> list[Arrival]:
        """Return the trials that were scored since the last call, those of a search in order."""
        found = [arrival for search in self.searches for arrival in _new(search)]
        self._arrived = [*self._arrived, *[time.time()] * len(found)][-_RECENT:]
        return found

    def forget_pace(self) -> None:
        """Leave what has arrived so far out of the estimate of the end: it is from an earlier run."""
        self._arrived = [time.time()]

    @property
    def done(self) -> int:
        """Scored trials."""
        return sum(len(search.rows) for search in self.searches)

    @property
    def planned(self) -> int:
        """Scored trials and those to come."""
        return self.done + self.left

    @property
    def at_most(self) -> bool:
        """Whether a budget may end a search before its last planned trial."""
        return any(search.at_most and search.left for search in self.searches)

    @property
    def left(self) -> int:
        """Trials to come."""
        return sum(search.left for search in self.searches)

    def ends_in(self) -> float | None:
        """Return seconds until the last trial by the pace of the latest; None while there is too little to go by."""
        if len(self._arrived) < 4:
            return None
        return self.left * (time.time() - self._arrived[0]) / (len(self._arrived) - 1)

    def spent(self) -> "Spent":
        """Return what all trials took."""
        return Spent.of([row for search in self.searches for row in search.rows])

    def failed(self) -> int:
        """Trials without a score, because the candidate failed."""
        return sum(row["status"] != "ok" for search in self.searches for row in search.rows)


@dataclass(frozen=True)
class Spent:
    """What trials took, those of an agent's tools included."""

    cpu_h: float
    gpu_h: float
    usd: float  # of calls with a known price
    unpriced: bool  # whether the price of a call is unknown

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> "Spent":
        """Add up trials."""
        return cls(
            cpu_h=_hours(rows, "cpu_s", "tool_cpu_s"),
            gpu_h=_hours(rows, "device_s", "tool_device_s"),
            usd=sum(row["cost_usd"] or 0.0 for row in rows),
            unpriced=any(row["cost_usd"] is None for row in rows),
        )

    def words(self, limit_usd: float | None) -> str:
        """For a line of progress; `limit_usd` is the most that all calls may cost."""
        parts = [f"{self.gpu_h:.2f} GPU h" if self.gpu_h else f"{self.cpu_h:.2f} CPU h"]
        if self.usd or self.unpriced or limit_usd is not None:
            limit = f" of at most ${limit_usd:.2f}" if limit_usd is not None else ""
            parts.append(f"LLM ${self.usd:.2f}{limit}" + (" and calls of unknown price" if self.unpriced else ""))
        return ", ".join(parts)


def _hours(rows: Sequence[Mapping[str, Any]], *columns: str) -> float:
    return sum(row[column] or 0.0 for row in rows for column in columns) / 3600


def _new(search: Search) -> Iterator[Arrival]:
    known = len(search.rows)
    if search.left <= 0 or (last := _last_scored(search.folder, known, search.planned)) < known:
        return
    frame = read_table(search.folder / f"i{last}" / "history.parquet", TRIAL).select(_COLUMNS)
    for row in frame.tail(last + 1 - known).iter_rows(named=True):
        before = search.best
        if row["status"] == STOPPED:
            search.stopped = one_line(row["error"] or STOPPED)
            search.budget_used = used_its_budget(search.folder / f"i{row['iteration']}")
        else:
            search.rows.append(row)
        yield Arrival(search, row, before)
        if search.stopped is not None:
            return


def _last_scored(folder: Path, known: int, planned: int) -> int:
    """The last scored trial from `known` on, or known - 1. Trials are scored in order, so few looks find it."""
    low, high, step = known - 1, planned, 1
    while low + step < high and _is_scored(folder, low + step):
        low, step = low + step, 2 * step
    high = min(high, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _is_scored(folder, middle) else (low, middle)
    return low


def _is_scored(folder: Path, iteration: int) -> bool:
    return (folder / f"i{iteration}" / "history.parquet").exists()
