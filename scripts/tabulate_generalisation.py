"""Measure the winners with more budget, less data, or without an organism.

Reads   plan, confirmed_predictions, labels
Writes  generalisation, horizons (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import generalisation as tables
from tmelt.evidence.schema import GENERALISATION, HORIZONS, PLAN
from tmelt.evidence.tables import write
from tmelt.evidence.winners import Confirmed
from tmelt.schema import read_table


def tabulate_generalisation(
    *, plan: Path, confirmed_predictions: Path, labels: Path, generalisation: Path, horizons: Path
) -> None:
    """Test MAE by budget, by share of the training set, and on an organism left out of training."""
    confirmed, planned = Confirmed.read(confirmed_predictions, labels), read_table(plan, PLAN)
    write(generalisation, tables.generalisation(planned, confirmed), GENERALISATION)
    write(horizons, tables.horizons(planned, confirmed), HORIZONS)


if __name__ == "__main__":
    run_command(tabulate_generalisation)
