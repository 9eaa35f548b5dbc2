"""Describe how the strategies search, and what failed; the scripts are read in `study`."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import BEHAVIOUR, FAILURES, INTEGRITY

TABLES = {"behaviour": BEHAVIOUR, "failures": FAILURES, "integrity": INTEGRITY}


def make(study: Path, trials: pl.DataFrame, runs: pl.DataFrame, protocol: Path) -> dict[str, pl.DataFrame]:
    """How each trial moved and what it foresaw, the trials without a score, and the rates of integrity labels."""
    from tmelt.evidence.behaviour import behaviour, failures, integrity
    from tmelt.study.protocol_record import read_protocol

    fixed = read_protocol(protocol)
    return {
        "behaviour": behaviour(trials, runs, study, fixed.space),
        "failures": failures(trials, runs, fixed.reference_sha256),
        "integrity": integrity(trials),
    }
