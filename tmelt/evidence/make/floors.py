"""Fit the reference predictors that an MAE is measured against."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import FLOORS, WINNER_PREDICTIONS

TABLES = {"floors": FLOORS, "floor_predictions": WINNER_PREDICTIONS}


def make(proteins: pl.DataFrame, labels: pl.DataFrame, protocol: Path) -> dict[str, pl.DataFrame]:
    """Median, ridge, a small MLP, the organism's mean, and what the maker of synthetic data knows."""
    from tmelt.evidence.floors import floors
    from tmelt.evidence.protocol import read_data_facts

    found, predictions = floors(proteins, labels, read_data_facts(protocol))
    return {"floors": found, "floor_predictions": predictions}
