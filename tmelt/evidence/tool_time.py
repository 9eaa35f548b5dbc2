"""Time that agents' checks and tries of scripts took: part of what a search costs, though no trial."""

import polars as pl

_SPENT = {"fit_s": "tool_s", "cpu_s": "tool_cpu_s", "device_s": "tool_device_s"}


def with_tool_time(trials: pl.DataFrame) -> pl.DataFrame:
    """Trials whose `fit_s`, `cpu_s` and `device_s` include the tools of their proposals."""
    return trials.with_columns(
        (pl.col(name).fill_null(0.0) + pl.col(tool).fill_null(0.0)).alias(name) for name, tool in _SPENT.items()
    )


def with_tool_runs(runs: pl.DataFrame, trials: pl.DataFrame) -> pl.DataFrame:
    """Runs, and a row of device and seconds for each trial whose proposal used time in its tools.

    They ran on the device of the search's runs.
    """
    search = ["strategy", "trajectory"]
    devices = runs.drop_nulls("device").group_by(search).agg(pl.col("device").mode().sort().first())
    spent = trials.filter((pl.col("tool_cpu_s") > 0) | (pl.col("tool_device_s") > 0))
    rows = spent.join(devices, on=search, how="inner", maintain_order="left").select(
        *search, "iteration", "device", cpu_s="tool_cpu_s", device_s="tool_device_s"
    )
    return pl.concat([runs, rows], how="diagonal") if len(rows) else runs
