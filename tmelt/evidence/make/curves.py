"""Gather the learning curves of all runs of the searches, from the runs' curve.parquet in `study`."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import CURVES

TABLES = {"curves": CURVES}


def make(study: Path, seeds: list[int], trials: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """One row per epoch of each run."""
    from tmelt.evidence.reading import read_curves, search_runs

    runs = search_runs(trials, study, seeds)
    found = read_curves(runs["folder"].to_list())
    return {"curves": runs.join(found, on="folder", how="inner", maintain_order="left")}
