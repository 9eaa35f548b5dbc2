"""Price the searches, and find where one strategy overtakes another. Nothing else depends on the price files.

`prices` (computing) and `token_prices` (LLMs) are YAML.
"""

from pathlib import Path

import polars as pl

from tmelt.evidence.schema import BANDS, COST, COST_CURVES, CROSSOVERS, EFFICIENCY

TABLES = {
    "cost": COST,
    "cost_curves": COST_CURVES,
    "crossovers": CROSSOVERS,
    "dollar_bands": BANDS,
    "dollar_efficiency": EFFICIENCY,
}


def make(
    trials: pl.DataFrame,
    runs: pl.DataFrame,
    winners: pl.DataFrame,
    incumbents: pl.DataFrame,
    prices: Path,
    token_prices: Path,
) -> dict[str, pl.DataFrame]:
    """Cost per search, curves over dollars as recorded and under a range of prices, and their crossings."""
    from tmelt.evidence import cost as tables
    from tmelt.evidence.incumbents import bands, efficiency
    from tmelt.prices.listed import read_prices

    listed = read_prices(prices, token_prices)
    curves, crossings = tables.cost_curves(trials, runs, incumbents, listed)
    priced = tables.in_dollars(trials, runs, incumbents, listed)
    return {
        "cost": tables.cost(trials, runs, winners, listed),
        "cost_curves": curves,
        "crossovers": crossings,
        "dollar_bands": bands(priced, tables.DOLLARS),
        "dollar_efficiency": efficiency(priced, tables.DOLLARS),
    }
