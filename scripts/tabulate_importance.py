"""Rank the knobs by PED-ANOVA over the trials of all searches.

Reads   trials (tables/), protocol
Writes  importance (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import importance as tables
from tmelt.evidence.schema import IMPORTANCE, TRIALS
from tmelt.evidence.tables import write
from tmelt.protocol_record import read_protocol
from tmelt.schema import read_table


def tabulate_importance(*, trials: Path, protocol: Path, importance: Path) -> None:
    """Knob importance for all strategies together, and for each with enough trials."""
    fixed = read_protocol(protocol)
    ranked = tables.importance(read_table(trials, TRIALS), fixed.reference_sha256, fixed.space)
    write(importance, ranked, IMPORTANCE)


if __name__ == "__main__":
    run_command(tabulate_importance)
