"""Follow each search's incumbent along trials and seconds.

Reads   trials, runs (tables/)
Writes  incumbents, bands, efficiency (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import incumbents as tables
from tmelt.evidence.schema import BANDS, EFFICIENCY, INCUMBENTS, RUNS, TRIALS
from tmelt.evidence.tables import write
from tmelt.schema import read_table


def tabulate_incumbents(*, trials: Path, runs: Path, incumbents: Path, bands: Path, efficiency: Path) -> None:
    """Curves per search, their medians per strategy, areas under them and times to a target."""
    frame = tables.incumbents(read_table(trials, TRIALS), read_table(runs, RUNS))
    write(incumbents, frame, INCUMBENTS)
    write(bands, tables.bands(frame), BANDS)
    write(efficiency, tables.efficiency(frame), EFFICIENCY)


if __name__ == "__main__":
    run_command(tabulate_incumbents)
