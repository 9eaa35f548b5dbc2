"""Choose each search's winner among its last incumbents, by select. No test label is looked at.

Reads   trials (tables/), select (vault), protocol.json (the labels' hash) and the incumbents' runs in `study`
Writes  last_incumbents (evidence/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import selection
from tmelt.evidence.schema import LAST_INCUMBENTS, TRIALS
from tmelt.evidence.tables import write
from tmelt.storage.schema import LABELS, read_table
from tmelt.study.protocol import check_labels
from tmelt.study.protocol_record import read_protocol


def choose_winners(*, study: Path, trials: Path, select: Path, count: int, last_incumbents: Path) -> None:
    """Write the last incumbents of each search with their errors on select."""
    check_labels(read_protocol(study / "protocol.json"), select=select)
    found = selection.choose(read_table(trials, TRIALS), study, read_table(select, LABELS), count)
    write(last_incumbents, found, LAST_INCUMBENTS)


if __name__ == "__main__":
    run_command(choose_winners)
