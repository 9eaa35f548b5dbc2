"""Gather the trials of all searches into one table.

Reads   histories: one file of trials per search (every file named, so that an extended search is never missed)
Writes  trials: tables/trials.parquet
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence.reading import concat_histories
from tmelt.evidence.schema import TRIALS
from tmelt.evidence.tables import write


def tabulate_trials(*, histories: list[Path], trials: Path) -> None:
    """The trials of all searches by strategy, trajectory and iteration."""
    write(trials, concat_histories(histories), TRIALS)


if __name__ == "__main__":
    run_command(tabulate_trials)
