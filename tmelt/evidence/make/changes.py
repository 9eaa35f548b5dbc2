"""Trace the winners' gains to their changes; the scripts are read in `study`."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import ATTRIBUTION, CHANGES, IMPROVEMENTS, INTERACTIONS

TABLES = {
    "changes": CHANGES,
    "attribution": ATTRIBUTION,
    "improvements": IMPROVEMENTS,
    "interactions": INTERACTIONS,
}


def make(
    study: Path,
    trials: pl.DataFrame,
    runs: pl.DataFrame,
    confirmed_runs: pl.DataFrame,
    plan: pl.DataFrame,
    confirmed_predictions: pl.DataFrame,
    labels: pl.DataFrame,
    protocol: Path,
) -> dict[str, pl.DataFrame]:
    """Kept changes in and out of the search space, their share of the gain, what each is worth, and interactions."""
    from tmelt.evidence.attribution import attribution, changes, improvements
    from tmelt.evidence.interactions import interactions
    from tmelt.evidence.winners import Confirmed
    from tmelt.study.protocol_record import read_protocol

    confirmed, space = Confirmed.of(confirmed_predictions, labels), read_protocol(protocol).space
    changed = changes(trials, runs, plan, confirmed, study, space)
    return {
        "changes": changed,
        "attribution": attribution(changed, trials, runs, plan, confirmed),
        "improvements": improvements(changed, plan, confirmed, confirmed_runs, study, space),
        "interactions": interactions(changed, plan, confirmed, study),
    }
