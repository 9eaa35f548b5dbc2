"""Gather the trials of all searches; every file is named, so that an extended search is never missed."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import NOT_TRIED, TRIALS

TABLES = {"trials": TRIALS, "not_tried": NOT_TRIED}


def make(histories: list[Path]) -> dict[str, pl.DataFrame]:
    """The trials of the strategies that were tried, by strategy, trajectory and iteration; and of which were not."""
    from tmelt.evidence import not_tried as search_ends
    from tmelt.evidence.reading import concat_histories

    left_out = search_ends.not_tried(histories)
    return {"trials": search_ends.tried(concat_histories(histories), left_out), "not_tried": left_out}
