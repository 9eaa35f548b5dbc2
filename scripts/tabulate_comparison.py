"""Compare the strategies, with the search as the unit.

Reads   trials, winners, efficiency, floors, floor_predictions (tables/), plan, confirmed_predictions, labels,
        protocol.json (the registered hypothesis), vault_log.json in `study` (the looks at test so far)
Writes  comparison, power (tables/); the registered contrast's row at each look to {study}/looks.json
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import comparison as tables
from tmelt.evidence.looks import looks, record_answer, registered_hypothesis, registered_row
from tmelt.evidence.power_table import power_table
from tmelt.evidence.schema import COMPARISON, EFFICIENCY, FLOORS, PLAN, POWER, TRIALS, WINNER_PREDICTIONS, WINNERS
from tmelt.evidence.tables import write
from tmelt.evidence.winners import Confirmed
from tmelt.files import read_json
from tmelt.protocol_record import read_protocol
from tmelt.schema import read_table


def tabulate_comparison(
    *,
    study: Path,
    protocol: Path,
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
    opened = Confirmed.read(confirmed_predictions, labels)
    hypothesis = registered_hypothesis(read_protocol(protocol))
    look = looks(read_json(study / "vault_log.json"), hypothesis)[-1]
    primary = (hypothesis.a, hypothesis.b) if hypothesis else None
    found = tables.comparison(
        tried,
        won,
        read_table(efficiency, EFFICIENCY),
        read_table(plan, PLAN),
        opened,
        read_table(floors, FLOORS),
        read_table(floor_predictions, WINNER_PREDICTIONS),
        primary=primary,
        share=look.share,
    )
    write(comparison, found, COMPARISON)
    if hypothesis and (row := registered_row(found, hypothesis)):
        record_answer(study / "looks.json", look, row)
    names = tried["strategy"].unique(maintain_order=True).to_list()
    write(power, power_table(names, won, opened, found, primary), POWER)


if __name__ == "__main__":
    run_command(tabulate_comparison)
