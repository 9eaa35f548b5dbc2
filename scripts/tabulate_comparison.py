"""Compare the strategies, with the search as the unit.

Reads   trials, winners, efficiency (tables/), plan, confirmed_predictions, labels
Writes  comparison, power (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import comparison as tables
from tmelt.evidence.schema import COMPARISON, EFFICIENCY, PLAN, POWER, TRIALS, WINNERS
from tmelt.evidence.tables import write
from tmelt.evidence.winners import Confirmed
from tmelt.schema import read_table


def tabulate_comparison(
    *,
    trials: Path,
    winners: Path,
    efficiency: Path,
    plan: Path,
    confirmed_predictions: Path,
    labels: Path,
    comparison: Path,
    power: Path,
) -> None:
    """Differences of every pair of strategies, and how many searches they would need."""
    strategies = read_table(trials, TRIALS)["strategy"].unique(maintain_order=True).to_list()
    won = read_table(winners, WINNERS)
    confirmed = Confirmed.read(confirmed_predictions, labels)
    found = tables.comparison(strategies, won, read_table(efficiency, EFFICIENCY), read_table(plan, PLAN), confirmed)
    write(comparison, found, COMPARISON)
    write(power, tables.power(strategies, won), POWER)


if __name__ == "__main__":
    run_command(tabulate_comparison)
