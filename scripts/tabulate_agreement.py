"""Correlate validation and test error over the trials of each search.

Reads   trials, runs (tables/)
Writes  agreement (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import agreement as tables
from tmelt.evidence.schema import AGREEMENT, RUNS, TRIALS
from tmelt.evidence.tables import write
from tmelt.schema import read_table


def tabulate_agreement(*, trials: Path, runs: Path, agreement: Path) -> None:
    """Spearman's correlation of validation and test MAE, by search and by strategy."""
    write(agreement, tables.agreement(read_table(trials, TRIALS), read_table(runs, RUNS)), AGREEMENT)


if __name__ == "__main__":
    run_command(tabulate_agreement)
