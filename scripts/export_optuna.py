"""Export the searches to an Optuna storage, for optuna-dashboard.

Reads   trials, runs (tables/*.parquet), protocol.json (the study's knobs)
Writes  database (SQLite): one Optuna study per search, and one per strategy with real times
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence.schema import RUNS, TRIALS
from tmelt.export import optuna_storage
from tmelt.storage.schema import read_table
from tmelt.study.protocol_record import read_protocol


def export_optuna(*, trials: Path, runs: Path, protocol: Path, database: Path) -> None:
    """Write every trial with its knobs, validation MAE, state and reasons; nothing about test."""
    optuna_storage.export_optuna(read_table(trials, TRIALS), read_table(runs, RUNS), read_protocol(protocol), database)


if __name__ == "__main__":
    run_command(export_optuna)
