"""Measure the winners on fresh seeds; of the searches' runs, those of winners and baselines are read in `study`."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import BASELINE, CHOICES, STRATEGIES, WINNER_PREDICTIONS, WINNERS

TABLES = {
    "choices": CHOICES,
    "winners": WINNERS,
    "baseline": BASELINE,
    "strategies": STRATEGIES,
    "winner_predictions": WINNER_PREDICTIONS,
}


def make(
    study: Path,
    trials: pl.DataFrame,
    last_incumbents: pl.DataFrame,
    runs: pl.DataFrame,
    incumbents: pl.DataFrame,
    efficiency: pl.DataFrame,
    plan: pl.DataFrame,
    confirmed_predictions: pl.DataFrame,
    labels: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Confirmed errors and optimism with intervals, per search and per strategy."""
    from tmelt.evidence import winners as tables
    from tmelt.evidence.optimism import optimism
    from tmelt.evidence.overtuning import choices

    confirmed = tables.Confirmed.of(confirmed_predictions, labels)
    flattery = optimism(trials, runs, study, confirmed.labels)
    won = tables.winners(trials, last_incumbents, runs, plan, confirmed, flattery)
    return {
        "choices": choices(last_incumbents, plan, confirmed),
        "winners": won,
        "baseline": tables.baseline(trials, plan, confirmed),
        "strategies": tables.strategies(trials, won, incumbents, efficiency, confirmed, flattery),
        "winner_predictions": tables.winner_predictions(plan, confirmed),
    }
