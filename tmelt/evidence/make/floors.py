"""Fit the reference predictors that an MAE is measured against."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import FLOORS, WINNER_PREDICTIONS

TABLES = {"floors": FLOORS, "floor_predictions": WINNER_PREDICTIONS}


def make(proteins: pl.DataFrame, labels: pl.DataFrame, protocol: Path) -> dict[str, pl.DataFrame]:
    """Median, ridge, a small MLP, the organism's mean, and what the maker of synthetic data knows."""
    from tmelt.evidence.floors import floors
    from tmelt.study.protocol_record import read_protocol

    fixed = read_protocol(protocol)
    found, predictions = floors(proteins, labels, fixed.data, fixed.design.group)
    return {"floors": found, "floor_predictions": predictions}
