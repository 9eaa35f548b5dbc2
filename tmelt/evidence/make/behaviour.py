"""Describe how the strategies search, and what failed; the scripts are read in `study`."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import BEHAVIOUR, FAILURES, INTEGRITY

TABLES = {"behaviour": BEHAVIOUR, "failures": FAILURES, "integrity": INTEGRITY}


def make(study: Path, trials: pl.DataFrame, runs: pl.DataFrame, protocol: Path) -> dict[str, pl.DataFrame]:
    """How each trial moved and what it foresaw, the trials without a score, and the rates of integrity labels."""
    from tmelt.evidence.behaviour import behaviour, failures, integrity
    from tmelt.evidence.protocol import read_reference, read_space

    return {
        "behaviour": behaviour(trials, runs, study, read_space(protocol)),
        "failures": failures(trials, runs, read_reference(protocol)),
        "integrity": integrity(trials),
    }
