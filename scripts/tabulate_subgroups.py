"""Show where the winners err, and how sure one may be of their predictions.

Reads   winner_predictions, floor_predictions (tables/), labels
Writes  subgroups, calibration, coverage (tables/)
"""

from pathlib import Path

import polars as pl

from tmelt.command import run_command
from tmelt.evidence import calibration as sureness
from tmelt.evidence import subgroups as tables
from tmelt.evidence.schema import CALIBRATION, COVERAGE, OPENED_LABELS, SUBGROUPS, WINNER_PREDICTIONS
from tmelt.evidence.tables import write
from tmelt.schema import read_table


def tabulate_subgroups(
    *,
    winner_predictions: Path,
    floor_predictions: Path,
    labels: Path,
    subgroups: Path,
    calibration: Path,
    coverage: Path,
) -> None:
    """Errors by organism, Tm, length and distance to training; spread over seeds and conformal intervals."""
    winners = read_table(winner_predictions, WINNER_PREDICTIONS)
    both = pl.concat([winners, read_table(floor_predictions, WINNER_PREDICTIONS)])
    write(subgroups, tables.subgroups(both, read_table(labels, OPENED_LABELS)), SUBGROUPS)
    write(calibration, sureness.calibration(winners), CALIBRATION)
    write(coverage, sureness.coverage(winners), COVERAGE)


if __name__ == "__main__":
    run_command(tabulate_subgroups)
