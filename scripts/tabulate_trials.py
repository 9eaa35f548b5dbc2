"""Gather the trials of all searches into one table.

Reads   histories: one file of trials per search (every file named, so that an extended search is never missed)
Writes  not_tried: tables/not_tried.parquet, searches that ended because of unusable replies (read from blocks/ beside
        each file of trials)
        trials: tables/trials.parquet, without the strategies of these
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import not_tried as search_ends
from tmelt.evidence.reading import concat_histories
from tmelt.evidence.schema import NOT_TRIED, TRIALS
from tmelt.evidence.tables import write


def tabulate_trials(*, histories: list[Path], trials: Path, not_tried: Path) -> None:
    """Write the trials of all searches by strategy, trajectory and iteration, and which strategies were not tried."""
    left_out = search_ends.not_tried(histories)
    write(not_tried, left_out, NOT_TRIED)
    write(trials, search_ends.tried(concat_histories(histories), left_out), TRIALS)


if __name__ == "__main__":
    run_command(tabulate_trials)
