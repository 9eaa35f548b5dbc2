"""Measure the winners on fresh seeds.

Reads   trials, runs, incumbents, efficiency (tables/), last_incumbents, confirmed_predictions, labels (evidence/),
        plan, and in `study` the predictions of the winners' and the baselines' runs
Writes  choices, winners, baseline, strategies, winner_predictions (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import overtuning
from tmelt.evidence import winners as tables
from tmelt.evidence.optimism import optimism
from tmelt.evidence.schema import (
    BASELINE,
    CHOICES,
    EFFICIENCY,
    INCUMBENTS,
    LAST_INCUMBENTS,
    PLAN,
    RUNS,
    STRATEGIES,
    TRIALS,
    WINNER_PREDICTIONS,
    WINNERS,
)
from tmelt.evidence.tables import write
from tmelt.schema import read_table


def tabulate_winners(
    *,
    study: Path,
    trials: Path,
    last_incumbents: Path,
    runs: Path,
    incumbents: Path,
    efficiency: Path,
    plan: Path,
    confirmed_predictions: Path,
    labels: Path,
    choices: Path,
    winners: Path,
    baseline: Path,
    strategies: Path,
    winner_predictions: Path,
) -> None:
    """Confirmed errors and optimism with intervals, per search and per strategy."""
    tried, planned, ran = read_table(trials, TRIALS), read_table(plan, PLAN), read_table(runs, RUNS)
    confirmed = tables.Confirmed.read(confirmed_predictions, labels)
    considered = read_table(last_incumbents, LAST_INCUMBENTS)
    write(choices, overtuning.choices(considered, planned, confirmed), CHOICES)
    flattery = optimism(tried, ran, study, confirmed.labels)
    won = tables.winners(tried, considered, ran, planned, confirmed, flattery)
    write(winners, won, WINNERS)
    write(baseline, tables.baseline(tried, planned, confirmed), BASELINE)
    summary = tables.strategies(
        tried, won, read_table(incumbents, INCUMBENTS), read_table(efficiency, EFFICIENCY), confirmed, flattery
    )
    write(strategies, summary, STRATEGIES)
    write(winner_predictions, tables.winner_predictions(planned, confirmed), WINNER_PREDICTIONS)


if __name__ == "__main__":
    run_command(tabulate_winners)
