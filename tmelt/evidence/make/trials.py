"""Gather the trials of all searches; every file is named, so that an extended search is never missed."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import TRIALS

TABLES = {"trials": TRIALS}


def make(histories: list[Path]) -> dict[str, pl.DataFrame]:
    """The trials of all searches by strategy, trajectory and iteration."""
    from tmelt.evidence.reading import concat_histories

    return {"trials": concat_histories(histories)}
