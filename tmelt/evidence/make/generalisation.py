"""Measure the winners with more budget, less data, or without an organism."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import GENERALISATION, HORIZONS

TABLES = {"generalisation": GENERALISATION, "horizons": HORIZONS}


def make(
    plan: pl.DataFrame, confirmed_predictions: pl.DataFrame, labels: pl.DataFrame, protocol: Path
) -> dict[str, pl.DataFrame]:
    """Test MAE by budget, by share of the training set, and on an organism left out of training."""
    from tmelt.evidence.generalisation import generalisation, horizons
    from tmelt.evidence.winners import Confirmed
    from tmelt.study.protocol_record import read_protocol

    group = read_protocol(protocol).design.group
    confirmed = Confirmed.of(confirmed_predictions, labels)
    return {"generalisation": generalisation(plan, confirmed, group), "horizons": horizons(plan, confirmed)}
