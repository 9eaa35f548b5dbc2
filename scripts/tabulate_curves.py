"""Gather the learning curves of all runs of the searches.

Reads   trials, the runs' curve.parquet in `study`
Writes  curves: tables/curves.parquet
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence.reading import read_curves, search_runs
from tmelt.evidence.schema import CURVES, TRIALS
from tmelt.evidence.tables import write
from tmelt.schema import read_table


def tabulate_curves(*, study: Path, seeds: list[int], trials: Path, curves: Path) -> None:
    """One row per epoch of each run."""
    runs = search_runs(read_table(trials, TRIALS), study, seeds)
    found = read_curves(runs["folder"].to_list())
    write(curves, runs.join(found, on="folder", how="inner", maintain_order="left"), CURVES)


if __name__ == "__main__":
    run_command(tabulate_curves)
