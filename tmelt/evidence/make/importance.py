"""Rank the knobs by PED-ANOVA over the trials of all searches."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import IMPORTANCE

TABLES = {"importance": IMPORTANCE}


def make(trials: pl.DataFrame, protocol: Path) -> dict[str, pl.DataFrame]:
    """Knob importance for all strategies together, and for each with enough trials."""
    from tmelt.evidence.importance import importance
    from tmelt.study.protocol_record import read_protocol

    fixed = read_protocol(protocol)
    return {"importance": importance(trials, fixed.reference_sha256, fixed.space)}
