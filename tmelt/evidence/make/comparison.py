"""Compare the strategies, with the search as the unit.

The looks at test so far are in vault_log.json of `study`; the registered contrast's row at each look is written to
looks.json beside it.
"""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import COMPARISON, POWER

TABLES = {"comparison": COMPARISON, "power": POWER}


def make(
    study: Path,
    protocol: Path,
    trials: pl.DataFrame,
    winners: pl.DataFrame,
    efficiency: pl.DataFrame,
    plan: pl.DataFrame,
    confirmed_predictions: pl.DataFrame,
    labels: pl.DataFrame,
    floors: pl.DataFrame,
    floor_predictions: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Differences of every pair of strategies, and how many searches they would need."""
    from tmelt.evidence import comparison as tables
    from tmelt.evidence.looks import looks, record_answer, registered_hypothesis, registered_row
    from tmelt.evidence.power_table import power_table
    from tmelt.evidence.winners import Confirmed
    from tmelt.storage.files import read_json
    from tmelt.study.protocol_record import read_protocol

    opened = Confirmed.of(confirmed_predictions, labels)
    hypothesis = registered_hypothesis(read_protocol(protocol))
    look = looks(read_json(study / "vault_log.json"), hypothesis)[-1]
    primary = (hypothesis.a, hypothesis.b) if hypothesis else None
    found = tables.comparison(
        trials, winners, efficiency, plan, opened, floors, floor_predictions, primary=primary, share=look.share
    )
    names = trials["strategy"].unique(maintain_order=True).to_list()
    power = power_table(names, winners, opened, found, primary)
    if hypothesis and (row := registered_row(found, hypothesis)):
        record_answer(study / "looks.json", look, row)
    return {"comparison": found, "power": power}
