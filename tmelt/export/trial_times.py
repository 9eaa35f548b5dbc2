"""When each trial was trained, from the times that its runs recorded."""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

# What a trial is found by.
Key = tuple[str, int, int]
COLUMNS = ("strategy", "trajectory", "iteration", "wall_s", "ended_at")


@dataclass(frozen=True, order=True)
class Times:
    """Begin of a trial's first training, end of its last prediction: UTC, without a zone, as Optuna stores them."""

    start: datetime
    complete: datetime


def trial_times(trials: pl.DataFrame, runs: pl.DataFrame) -> dict[Key, Times]:
    """Return the times of all trials by strategy, trajectory and iteration.

    Trials of a search follow each other. A trial without a run of its own, because it was refused, stopped or taken
    from the journal, starts no earlier than the trial before it. A search whose trials have no recorded time yet has
    no entries.

    Args:
        trials: strategy, trajectory, iteration.
        runs: COLUMNS, a row per run; null times where a trial was not run.
    """
    recorded = (
        runs.drop_nulls("ended_at")
        .with_columns(began_at=pl.col("ended_at") - pl.col("wall_s").fill_null(0.0))
        .group_by("strategy", "trajectory", "iteration")
        .agg(pl.col("began_at").min(), pl.col("ended_at").max())
    )
    keys = trials.select("strategy", "trajectory", "iteration").sort(pl.all())
    rows = keys.join(recorded, on=keys.columns, how="left", maintain_order="left")
    found: dict[Key, Times] = {}
    before: dict[tuple[str, int], float] = {}
    for strategy, trajectory, iteration, began, ended in rows.iter_rows():
        search = (strategy, trajectory)
        if began is None and search not in before:
            continue
        start = max(before.get(search, 0.0), began or 0.0)
        before[search] = start
        found[(strategy, trajectory, iteration)] = Times(_moment(start), _moment(max(start, ended or 0.0)))
    return found


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
