"""How good each search's incumbent was as it went on: against trials and seconds (dollars: tmelt.evidence.cost)."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from tmelt.evidence.metrics import none_if_nan
from tmelt.evidence.schema import BANDS, EFFICIENCY, INCUMBENTS
from tmelt.evidence.tables import table, typed
from tmelt.evidence.tool_time import with_tool_time

TRIAL_KEY = ["strategy", "trajectory", "iteration"]
SEARCH_KEY = ["strategy", "trajectory"]
AXES = ("trials", "fit_s", "device_s")
GRID = 60  # positions at which curves over seconds and dollars are summarised


def trial_scores(runs: pl.DataFrame) -> pl.DataFrame:
    """Exact scores of each trial: means over its training seeds that ended ok."""
    return (
        runs.filter(pl.col("status") == "ok")
        .group_by(TRIAL_KEY)
        .agg(
            pl.col("val_mae").mean(),
            pl.col("test_mae").mean(),
            pl.col("test_within_rho").mean(),
            pl.col("fit_mae").mean(),
            pl.col("stop_mae").mean(),
            pl.col("predict_s").mean(),
        )
    )


def incumbents(trials: pl.DataFrame, runs: pl.DataFrame) -> pl.DataFrame:
    """The table `incumbents`: one row per trial."""
    scores = trial_scores(runs).drop("predict_s").rename({"iteration": "incumbent"})
    shown = trials.select(*SEARCH_KEY, incumbent="iteration", search_val_mae="val_mae")
    frame = with_tool_time(trials).sort(TRIAL_KEY).drop("val_mae", "fit_mae", "stop_mae")
    frame = frame.join(shown, on=[*SEARCH_KEY, "incumbent"], how="left", maintain_order="left")
    frame = frame.join(scores, on=[*SEARCH_KEY, "incumbent"], how="left", maintain_order="left")
    spent = ["fit_s", "cpu_s", "device_s"]
    unsure = ["cost_usd", "prompt_tokens", "completion_tokens"]
    frame = frame.with_columns(
        equivalents().over(SEARCH_KEY),
        *(pl.col(name).fill_null(0.0).cum_sum().over(SEARCH_KEY) for name in spent),
        *(known_sum(name).alias(name) for name in unsure),
    )
    return typed(frame, INCUMBENTS)


def equivalents() -> pl.Expr:
    """Full trials that a search's trials, in order, amount to after the baseline; iterations where none is cheap."""
    return (pl.col("fidelity").cum_sum() - pl.col("fidelity").first()).round(6).alias("equivalents")


def known_sum(column: str) -> pl.Expr:
    """Cumulative sum within a search that is null from the first unknown on."""
    unknown = pl.col(column).is_null().cum_max().over(SEARCH_KEY)
    return pl.when(~unknown).then(pl.col(column).fill_null(0).cum_sum().over(SEARCH_KEY))


def position(axis: str) -> pl.Expr:
    """Where a trial ends on an axis."""
    return pl.col("equivalents" if axis == "trials" else axis).cast(pl.Float64)


def steps(search: pl.DataFrame, axis: str, value: str) -> tuple[np.ndarray, np.ndarray]:
    """A search as a step function: positions (k,) at which trials end, and the incumbent's MAE from there on."""
    known = search.select(x=position(axis), y=pl.col(value)).drop_nulls()
    return known["x"].to_numpy(), known["y"].to_numpy()


def at(x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The step function on a grid; NaN before its first position. A search that has ended keeps its incumbent.

    Were it left out from its end on, the median of the others could rise, as if more time made a strategy worse.
    """
    index = np.searchsorted(x, grid, side="right") - 1
    return np.where(index >= 0, y[np.maximum(index, 0)], np.nan)


def searches(frame: pl.DataFrame) -> Iterator[tuple[str, int, pl.DataFrame]]:
    """(strategy, trajectory, rows by iteration) of each search."""
    for (strategy, trajectory), part in frame.group_by(SEARCH_KEY, maintain_order=True):
        yield strategy, trajectory, part.sort("iteration")


def used_axes(frame: pl.DataFrame, axes: Sequence[str] = AXES) -> list[str]:
    """Those axes on which every search spent something known."""
    last = frame.sort("iteration").group_by(SEARCH_KEY).last()
    chosen = []
    for axis in axes:
        ends = last.select(position(axis)).to_series()
        if len(ends) and ends.null_count() == 0 and (axis == "trials" or ends.min() > 0):
            chosen.append(axis)
    return chosen


def bands(frame: pl.DataFrame, axes: Sequence[str] = AXES) -> pl.DataFrame:
    """The table `bands`: median and quartiles over the trajectories of a strategy.

    Args:
        frame: the table `incumbents`, with a column for each axis but `trials`.
    """
    rows = []
    for axis in used_axes(frame, axes):
        for strategy in frame["strategy"].unique(maintain_order=True):
            part = frame.filter(pl.col("strategy") == strategy)
            for split, value in (("val", "val_mae"), ("test", "test_mae")):
                curves = [steps(search, axis, value) for _, _, search in searches(part)]
                curves = [(x, y) for x, y in curves if len(x)]
                if curves:
                    rows += list(_band_rows(curves, {"strategy": strategy, "axis": axis, "split": split}))
    return table(rows, BANDS)


def _band_rows(curves: list[tuple[np.ndarray, np.ndarray]], key: dict[str, str]) -> Iterator[dict]:
    if key["axis"] == "trials":
        grid = np.unique(np.concatenate([x for x, _ in curves]))
    else:
        grid = np.linspace(min(x[0] for x, _ in curves), max(x[-1] for x, _ in curves), GRID)
    values = np.stack([at(x, y, grid) for x, y in curves])  # (searches, grid)
    for place, column in zip(grid, values.T, strict=True):
        known = column[~np.isnan(column)]
        if not len(known):
            continue
        ends = (0.25, 0.75) if len(known) >= 4 else (0.0, 1.0)
        low, high = np.quantile(known, ends)
        yield key | {
            "x": float(place),
            "median": float(np.median(known)),
            "lower": float(low),
            "upper": float(high),
            "trajectories": int(sum(x[-1] >= place for x, _ in curves)),
        }


def efficiency(frame: pl.DataFrame, axes: Sequence[str] = AXES) -> pl.DataFrame:
    """The table `efficiency`: area under each search's curve, and when it reaches a common target.

    The step function is extended to the left by its first value (the baseline costs time as well), and cut at the least
    total that any search spent.
    """
    finals = [search["val_mae"].drop_nulls().to_list()[-1:] for _, _, search in searches(frame)]
    finals = [value for final in finals for value in final]
    target = float(np.median(finals)) if finals else float("nan")
    usable, rows = used_axes(frame, axes), []
    for axis in axes:
        curves = {(s, t): steps(search, axis, "val_mae") for s, t, search in searches(frame)}
        ends = {(s, t): search.select(position(axis)).to_series()[-1] for s, t, search in searches(frame)}
        started = [x[-1] for x, _ in curves.values() if len(x)]
        horizon = float(min(started)) if started and axis in usable else float("nan")
        for (strategy, trajectory), (x, y) in curves.items():
            note, auc, reached = None, float("nan"), None
            if axis not in usable:
                note = "some search's use is unknown or nothing"
            elif not len(x):
                note = "no trial ran well"
            else:
                auc = mean_until(x, y, horizon, discrete=axis == "trials")
                hit = np.flatnonzero(y <= target + 1e-12)
                reached = bool(len(hit))
            rows.append(
                {
                    "strategy": strategy,
                    "trajectory": trajectory,
                    "axis": axis,
                    "horizon": none_if_nan(horizon),
                    "auc": none_if_nan(auc),
                    "target": none_if_nan(target),
                    "time_to_target": float(x[hit[0]]) if reached else None,
                    "reached": reached,
                    "spent": ends[strategy, trajectory],
                    "note": note,
                }
            )
    return table(rows, EFFICIENCY)


def mean_until(x: np.ndarray, y: np.ndarray, horizon: float, *, discrete: bool) -> float:
    """Mean of the step function from 0 to the horizon: over trials 0, 1, … if discrete, else over the axis."""
    if discrete:
        index = np.searchsorted(x, np.arange(int(horizon) + 1), side="right") - 1
        return float(y[np.maximum(index, 0)].mean())
    edges = np.concatenate([[0.0], np.clip(x[1:], 0, horizon), [horizon]])
    return float((np.diff(np.maximum.accumulate(edges)) * y).sum() / horizon)
