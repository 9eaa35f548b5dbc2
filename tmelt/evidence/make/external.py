"""Gather what was measured on external test sets; each of the three has a file per set."""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import EXTERNAL, EXTERNAL_PREDICTIONS, EXTERNAL_SETS

TABLES = {"external": EXTERNAL, "external_sets": EXTERNAL_SETS, "external_predictions": EXTERNAL_PREDICTIONS}


def make(
    opened_scores: list[Path], opened_facts: list[Path], opened_predictions: list[Path]
) -> dict[str, pl.DataFrame]:
    """Scores, facts and predictions of every set, in the order of the config."""
    from tmelt.evidence.tables import table
    from tmelt.storage.schema import read_table

    made = {}
    given = zip(TABLES.items(), (opened_scores, opened_facts, opened_predictions), strict=True)
    for (name, schema), paths in given:
        made[name] = pl.concat([table([], schema), *(read_table(path, schema) for path in paths)])
    return made
