"""What the searches cost, and how low their error is for the money at a range of prices."""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from tmelt.evidence.crossovers import supported_crossovers
from tmelt.evidence.incumbents import SEARCH_KEY, TRIAL_KEY, at, known_sum, searches
from tmelt.evidence.metrics import none_if_nan
from tmelt.evidence.replicates import chains
from tmelt.evidence.schema import COST, COST_CURVES, CROSSOVERS
from tmelt.evidence.statistics import generator
from tmelt.evidence.tables import table
from tmelt.evidence.tool_time import with_tool_runs, with_tool_time
from tmelt.prices.listed import Prices

GRID = 80  # positions on the axis of dollars
RECORDED = "recorded"
DOLLARS = ("total_usd",)  # the axis of `dollar_bands` and `dollar_efficiency`


def compute_cost(trials: pl.DataFrame, runs: pl.DataFrame, prices: Prices) -> pl.DataFrame:
    """The trials with their paid device seconds and compute cost, and both costs together (null where unknown).

    What an agent's tools used counts to the trial that it proposed then.
    """
    priced = with_compute_usd(with_tool_runs(runs, trials), prices)
    spent = priced.group_by(TRIAL_KEY).agg(
        pl.col("paid_s").sum(),
        compute_usd=pl.when(pl.col("compute_usd").is_null().any()).then(None).otherwise(pl.col("compute_usd").sum()),
    )
    joined = trials.join(spent, on=TRIAL_KEY, how="left", maintain_order="left")
    joined = joined.with_columns(pl.col("paid_s").fill_null(0.0))
    return joined.with_columns(trial_usd=pl.col("compute_usd") + pl.col("cost_usd"))


def in_dollars(trials: pl.DataFrame, runs: pl.DataFrame, incumbent: pl.DataFrame, prices: Prices) -> pl.DataFrame:
    """The table `incumbents` with `total_usd`: cumulative cost at the listed prices, null from the first unknown on."""
    spent = compute_cost(trials, runs, prices).sort(TRIAL_KEY)
    spent = spent.with_columns(total_usd=known_sum("trial_usd")).select(*TRIAL_KEY, "total_usd")
    return incumbent.join(spent, on=TRIAL_KEY, how="left", maintain_order="left")


def cost(trials: pl.DataFrame, runs: pl.DataFrame, won: pl.DataFrame, prices: Prices) -> pl.DataFrame:
    """The table `cost`: one row per search. `won` is the table `winners`."""
    priced = with_tool_time(compute_cost(trials, runs, prices))
    devices = (
        with_compute_usd(runs, prices)
        .group_by(SEARCH_KEY)
        .agg(
            used=pl.col("device").drop_nulls().unique().sort().str.join(", "),
            unpriced=pl.col("compute_usd").is_null().any(),
        )
    )
    gains = {(s, t): gain for s, t, gain in won.select(*SEARCH_KEY, "gain").iter_rows()}
    rows = []
    for strategy, trajectory, part in searches(priced):
        device, unpriced = (
            devices.filter((pl.col("strategy") == strategy) & (pl.col("trajectory") == trajectory))
            .select("used", "unpriced")
            .row(0)
            if len(devices)
            else (None, False)
        )
        compute = None if unpriced else part["compute_usd"].sum()
        llm = None if part["cost_usd"].null_count() else part["cost_usd"].sum()
        total = None if compute is None or llm is None else compute + llm
        gain = gains.get((strategy, trajectory))
        notes = [f"prices: {prices.version}"]
        if unpriced:
            notes.append(f"no price for {device} in tmelt/prices/compute.yaml")
        if llm is None:
            notes.append("the price of some LLM calls is unknown")
        rows.append(
            {
                "strategy": strategy,
                "trajectory": trajectory,
                "trials": len(part),
                "fit_s": part["fit_s"].sum(),
                "cpu_s": part["cpu_s"].sum(),
                "device_s": part["device_s"].sum(),
                "device": device or None,
                "compute_usd": compute,
                "llm_usd": llm,
                "tool_s": part["tool_s"].sum(),
                "llm_calls": part["llm_calls"].sum(),
                "prompt_tokens": None if part["prompt_tokens"].null_count() else part["prompt_tokens"].sum(),
                "completion_tokens": None
                if part["completion_tokens"].null_count()
                else part["completion_tokens"].sum(),
                "total_usd": total,
                "usd_per_degree": total / -gain if total is not None and gain is not None and gain < 0 else None,
                "note": "; ".join(notes),
            }
        )
    return table(rows, COST)


def scenarios(trials: pl.DataFrame, runs: pl.DataFrame, prices: Prices) -> Iterator[tuple[float, str, pl.Expr]]:
    """(USD per hour of the device, token price, expression of a trial's cost) for each price to draw.

    The device is the one that most runs used: one price per hour is an axis of the figure, so it must be one device.
    """
    used = runs.drop_nulls("device")["device"].mode().sort().to_list()
    hour = prices.hour(used[0]) if used else None
    if hour is None:
        return
    levels: list[tuple[str, pl.Expr]] = []
    if not trials["cost_usd"].null_count():
        levels.append((RECORDED, pl.col("cost_usd")))
    tokens_known = not trials["prompt_tokens"].null_count() and not trials["completion_tokens"].null_count()
    if tokens_known and trials["prompt_tokens"].sum() + trials["completion_tokens"].sum() > 0:
        for name, price in prices.tokens.items():
            sent, received = pl.col("prompt_tokens") * price.input, pl.col("completion_tokens") * price.output
            levels.append((name, (sent + received) / 1e6))
    for factor in prices.factors:
        for name, llm in levels:
            yield factor * hour, name, pl.col("paid_s") / 3600 * factor * hour + llm


def cost_curves(
    trials: pl.DataFrame, runs: pl.DataFrame, incumbent: pl.DataFrame, prices: Prices
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables `cost_curves` and `crossovers`. `incumbent` is the table `incumbents`."""
    spent = compute_cost(trials, runs, prices).select(
        *TRIAL_KEY, "paid_s", "prompt_tokens", "completion_tokens", trial_cost="cost_usd"
    )
    frame = incumbent.select(*TRIAL_KEY, "val_mae", "test_mae").join(spent, on=TRIAL_KEY, maintain_order="left")
    frame = frame.rename({"trial_cost": "cost_usd"}).sort(TRIAL_KEY)
    labels = chains(trials)
    curve_rows, crossing_rows = [], []
    for hour, level, trial_usd in scenarios(trials, runs, prices):
        priced = frame.with_columns(usd=trial_usd.cum_sum().over(SEARCH_KEY))
        grid = _grid(priced)
        if grid is None:
            continue
        curves = {}
        for strategy in priced["strategy"].unique(maintain_order=True):
            part = priced.filter(pl.col("strategy") == strategy)
            medians = [_median_curve(part, name, grid) for name in ("val_mae", "test_mae")]
            curves[strategy] = _distinct_curves(part, labels, grid)
            curve_rows += [
                {
                    "strategy": strategy,
                    "compute_usd_per_h": hour,
                    "token_price": level,
                    "usd": float(usd),
                    "median_val_mae": none_if_nan(val),
                    "median_test_mae": none_if_nan(test),
                }
                for usd, val, test in zip(grid, *medians, strict=True)
                if val == val
            ]
        for a, b in itertools.combinations(curves, 2):
            rng = generator("crossovers", hour, level, a, b)
            crossing_rows += [
                {
                    "a": found.ahead,
                    "b": found.behind,
                    "compute_usd_per_h": hour,
                    "token_price": level,
                    "usd": found.place,
                    "val_mae": found.value,
                    "support": found.support,
                }
                for found in supported_crossovers(a, b, curves[a], curves[b], grid, rng)
            ]
    return table(curve_rows, COST_CURVES), table(crossing_rows, CROSSOVERS)


def _grid(priced: pl.DataFrame) -> np.ndarray | None:
    """Positions from the first incumbent of any search to the last trial of any, evenly spaced in the logarithm."""
    known = priced.drop_nulls("val_mae").filter(pl.col("usd") > 0)["usd"]
    return np.geomspace(known.min(), known.max(), GRID) if len(known) else None


def _median_curve(part: pl.DataFrame, value: str, grid: np.ndarray) -> np.ndarray:
    """Median over a strategy's searches, from where at least half of them have begun to where the longest ends."""
    curves, longest = [], 0.0
    for _, _, search in searches(part):
        known = search.drop_nulls(value)
        if len(known):
            curves.append(at(known["usd"].to_numpy(), known[value].to_numpy(), grid))
            longest = max(longest, known["usd"][-1])
    if not curves:
        return np.full(len(grid), np.nan)
    values = np.stack(curves)
    enough = ((~np.isnan(values)).sum(axis=0) * 2 >= len(values)) & (grid <= longest)
    medians = np.full(len(grid), np.nan)
    medians[enough] = np.nanmedian(values[:, enough], axis=0)
    return medians


def _distinct_curves(part: pl.DataFrame, labels: Mapping[tuple[str, int], str], grid: np.ndarray) -> np.ndarray:
    """(distinct searches, grid) the incumbent's validation MAE of each search of a strategy, copies counted once.

    Args:
        labels: of each search what its trials were (tmelt.evidence.replicates.chains).
    """
    curves = {}
    for strategy, trajectory, search in searches(part):
        known = search.drop_nulls("val_mae")
        if len(known) and labels[strategy, trajectory] not in curves:
            values = at(known["usd"].to_numpy(), known["val_mae"].to_numpy(), grid)
            curves[labels[strategy, trajectory]] = values
    return np.stack(list(curves.values())) if curves else np.empty((0, len(grid)))


def with_compute_usd(runs: pl.DataFrame, prices: Prices) -> pl.DataFrame:
    """Runs with columns `paid_s` (GPU seconds on a GPU, CPU-core seconds else) and `compute_usd` (null: no price)."""
    devices = runs["device"].unique().drop_nulls().to_list()
    per_hour = pl.DataFrame(
        {"device": devices, "usd_per_h": [prices.hour(device) for device in devices]},
        schema={"device": pl.String, "usd_per_h": pl.Float64},
    )
    paid = pl.when(pl.col("device") == "cpu").then(pl.col("cpu_s")).otherwise(pl.col("device_s")).fill_null(0.0)
    return (
        runs.with_columns(paid_s=paid)
        .join(per_hour, on="device", how="left", maintain_order="left")
        .with_columns(
            compute_usd=pl.when(pl.col("paid_s") == 0)
            .then(0.0)
            .otherwise(pl.col("paid_s") / 3600 * pl.col("usd_per_h"))
        )
    )
