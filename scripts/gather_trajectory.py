"""Gather the trials of one search.

Reads   history.parquet of its last trial
Writes  trials_{extent}.parquet, results_{extent}.tsv (the ledger that karpathy/autoresearch keeps)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.search.history import History
from tmelt.search.ledger import write_ledger
from tmelt.storage.schema import TRIAL, write_table


def gather_trajectory(*, trajectory: Path, iterations: int, trials: Path, ledger: Path) -> None:
    """Write the table and the ledger of a search, without the trials after a stop."""
    last = max(number for number in range(iterations + 1) if (trajectory / f"i{number}" / "history.parquet").exists())
    history = History.read(trajectory / f"i{last}" / "history.parquet")
    done = [trial for trial in history if trial.status != "stopped"]
    write_ledger(ledger, done)
    write_table(trials, [dict(trial.row) for trial in done], TRIAL)  # last: once it is there, nothing runs this again


if __name__ == "__main__":
    run_command(gather_trajectory)
