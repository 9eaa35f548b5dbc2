"""Compare the strategies, with the search as the unit.

Reads   trials, winners, efficiency, floors, floor_predictions (tables/), plan, confirmed_predictions, labels
Writes  comparison, power (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import comparison as tables
from tmelt.evidence.schema import COMPARISON, EFFICIENCY, FLOORS, PLAN, POWER, TRIALS, WINNER_PREDICTIONS, WINNERS
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
    floors: Path,
    floor_predictions: Path,
    comparison: Path,
    power: Path,
) -> None:
    """Differences of every pair of strategies, and how many searches they would need."""
    tried, won = read_table(trials, TRIALS), read_table(winners, WINNERS)
    found = tables.comparison(
        tried,
        won,
        read_table(efficiency, EFFICIENCY),
        read_table(plan, PLAN),
        Confirmed.read(confirmed_predictions, labels),
        read_table(floors, FLOORS),
        read_table(floor_predictions, WINNER_PREDICTIONS),
    )
    write(comparison, found, COMPARISON)
    write(power, tables.power(tried["strategy"].unique(maintain_order=True).to_list(), won), POWER)


if __name__ == "__main__":
    run_command(tabulate_comparison)
