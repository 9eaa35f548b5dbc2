"""Fit the trivial predictors that an MAE is measured against.

Reads   proteins, labels, protocol (facts about the data)
Writes  floors, floor_predictions (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import floors as tables
from tmelt.evidence.schema import FLOORS, OPENED_LABELS, WINNER_PREDICTIONS
from tmelt.evidence.tables import write
from tmelt.protocol_record import read_protocol
from tmelt.schema import PROTEINS, read_table


def tabulate_floors(*, proteins: Path, labels: Path, protocol: Path, floors: Path, floor_predictions: Path) -> None:
    """Median, ridge, a small MLP, the organism's mean, and what the maker of synthetic data knows."""
    found, predictions = tables.floors(
        read_table(proteins, PROTEINS), read_table(labels, OPENED_LABELS), read_protocol(protocol).data
    )
    write(floors, found, FLOORS)
    write(floor_predictions, predictions, WINNER_PREDICTIONS)


if __name__ == "__main__":
    run_command(tabulate_floors)
