"""Show where the winners err, and how sure one may be of their predictions."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import CALIBRATION, COVERAGE, SUBGROUPS

TABLES = {"subgroups": SUBGROUPS, "calibration": CALIBRATION, "coverage": COVERAGE}


def make(
    winner_predictions: pl.DataFrame, floor_predictions: pl.DataFrame, labels: pl.DataFrame, protocol: Path
) -> dict[str, pl.DataFrame]:
    """Errors by organism, label, length and distance to training; spread over seeds and conformal intervals."""
    from tmelt.evidence.calibration import calibration, coverage
    from tmelt.evidence.subgroups import subgroups
    from tmelt.study.protocol_record import read_protocol

    design = read_protocol(protocol).design
    return {
        "subgroups": subgroups(pl.concat([winner_predictions, floor_predictions]), labels, design.target, design.group),
        "calibration": calibration(winner_predictions),
        "coverage": coverage(winner_predictions),
    }
