"""Trace the winners' gains to their changes.

Reads   trials, runs, confirmed_runs (tables/), plan, confirmed_predictions, labels, protocol; scripts in `study`
Writes  changes, attribution, improvements, interactions (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import attribution as tables
from tmelt.evidence import interactions as shapley
from tmelt.evidence.schema import ATTRIBUTION, CHANGES, CONFIRMED_RUNS, IMPROVEMENTS, INTERACTIONS, PLAN, RUNS, TRIALS
from tmelt.evidence.tables import write
from tmelt.evidence.winners import Confirmed
from tmelt.protocol_record import read_protocol
from tmelt.schema import read_table


def tabulate_changes(
    *,
    study: Path,
    trials: Path,
    runs: Path,
    confirmed_runs: Path,
    plan: Path,
    confirmed_predictions: Path,
    labels: Path,
    protocol: Path,
    changes: Path,
    attribution: Path,
    improvements: Path,
    interactions: Path,
) -> None:
    """Kept changes in and out of the search space, their share of the gain, what each is worth, and interactions."""
    tried, ran, planned = read_table(trials, TRIALS), read_table(runs, RUNS), read_table(plan, PLAN)
    confirmed = Confirmed.read(confirmed_predictions, labels)
    space = read_protocol(protocol).space
    changed = tables.changes(tried, ran, planned, confirmed, study, space)
    write(changes, changed, CHANGES)
    write(attribution, tables.attribution(changed, tried, ran, planned, confirmed), ATTRIBUTION)
    ranked = tables.improvements(changed, planned, confirmed, read_table(confirmed_runs, CONFIRMED_RUNS), study, space)
    write(improvements, ranked, IMPROVEMENTS)
    write(interactions, shapley.interactions(changed, planned, confirmed, study), INTERACTIONS)


if __name__ == "__main__":
    run_command(tabulate_changes)
