"""Measure how far the searches of a strategy end apart, and test whether the strategies differ in it.

Reads   winners (tables/)
Writes  spread (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import spread as tables
from tmelt.evidence.schema import SPREAD, WINNERS
from tmelt.evidence.tables import write
from tmelt.schema import read_table


def tabulate_spread(*, winners: Path, spread: Path) -> None:
    """Standard deviation of the confirmed test MAE between searches, with Brown and Forsythe's test."""
    write(spread, tables.spread(read_table(winners, WINNERS)), SPREAD)


if __name__ == "__main__":
    run_command(tabulate_spread)
