"""Describe how the strategies search, and what failed.

Reads   trials, runs (tables/), protocol; scripts in `study`
Writes  behaviour, failures, integrity (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import behaviour as tables
from tmelt.evidence.schema import BEHAVIOUR, FAILURES, INTEGRITY, RUNS, TRIALS
from tmelt.evidence.tables import write
from tmelt.protocol_record import read_protocol
from tmelt.schema import read_table


def tabulate_behaviour(
    *, study: Path, trials: Path, runs: Path, protocol: Path, behaviour: Path, failures: Path, integrity: Path
) -> None:
    """Write how each trial moved and what it foresaw, the trials without a score, and the rates of integrity labels."""
    tried, ran = read_table(trials, TRIALS), read_table(runs, RUNS)
    fixed = read_protocol(protocol)
    write(behaviour, tables.behaviour(tried, ran, study, fixed.space), BEHAVIOUR)
    write(failures, tables.failures(tried, ran, fixed.reference_sha256), FAILURES)
    write(integrity, tables.integrity(tried), INTEGRITY)


if __name__ == "__main__":
    run_command(tabulate_behaviour)
