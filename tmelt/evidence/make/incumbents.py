"""Follow each search's incumbent along trials and seconds."""

import polars as pl

from tmelt.evidence.schema import BANDS, EFFICIENCY, INCUMBENTS

TABLES = {"incumbents": INCUMBENTS, "bands": BANDS, "efficiency": EFFICIENCY}


def make(trials: pl.DataFrame, runs: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Curves per search, their medians per strategy, areas under them and times to a target."""
    from tmelt.evidence.incumbents import bands, efficiency, incumbents

    found = incumbents(trials, runs)
    return {"incumbents": found, "bands": bands(found), "efficiency": efficiency(found)}
