"""Measure how far the searches of a strategy end apart, and test whether the strategies differ in it."""

import polars as pl

from tmelt.evidence.schema import SPREAD

TABLES = {"spread": SPREAD}


def make(winners: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Standard deviation of the confirmed test MAE between searches, with Brown and Forsythe's test."""
    from tmelt.evidence.spread import spread

    return {"spread": spread(winners)}
