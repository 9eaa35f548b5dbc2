"""Correlate validation and test error over the trials of each search."""

import polars as pl

from tmelt.evidence.schema import AGREEMENT

TABLES = {"agreement": AGREEMENT}


def make(trials: pl.DataFrame, runs: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Spearman's correlation of validation and test MAE, by search and by strategy."""
    from tmelt.evidence.agreement import agreement

    return {"agreement": agreement(trials, runs)}
