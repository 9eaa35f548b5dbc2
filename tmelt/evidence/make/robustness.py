"""Measure how far the winners' errors grow when proteins change slightly; `perturbed` has a file per candidate."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import PERTURBED, ROBUSTNESS

TABLES = {"robustness": ROBUSTNESS}


def make(perturbed: list[Path], plan: pl.DataFrame, labels: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """One row per winner or baseline and kind of change."""
    from tmelt.evidence.robustness import robustness
    from tmelt.storage.schema import read_table

    return {"robustness": robustness([read_table(path, PERTURBED) for path in perturbed], plan, labels)}
