"""Measure how far the winners' errors grow when proteins change slightly.

Reads   perturbed (a file per candidate), plan, labels
Writes  robustness (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence.robustness import robustness as tabulate
from tmelt.evidence.schema import OPENED_LABELS, PERTURBED, PLAN, ROBUSTNESS
from tmelt.evidence.tables import write
from tmelt.schema import read_table


def tabulate_robustness(*, perturbed: list[Path], plan: Path, labels: Path, robustness: Path) -> None:
    """One row per winner or baseline and kind of change."""
    found = [read_table(path, PERTURBED) for path in perturbed]
    write(robustness, tabulate(found, read_table(plan, PLAN), read_table(labels, OPENED_LABELS)), ROBUSTNESS)


if __name__ == "__main__":
    run_command(tabulate_robustness)
