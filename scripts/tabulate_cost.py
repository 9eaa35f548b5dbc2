"""Price the searches, and find where one strategy overtakes another. Nothing else depends on the price files.

Reads   trials, runs, winners, incumbents (tables/); prices (computing) and token_prices (LLMs), both YAML
Writes  cost, cost_curves, crossovers, dollar_bands, dollar_efficiency (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import cost as tables
from tmelt.evidence.incumbents import bands, efficiency
from tmelt.evidence.prices import read_prices
from tmelt.evidence.schema import BANDS, COST, COST_CURVES, CROSSOVERS, EFFICIENCY, INCUMBENTS, RUNS, TRIALS, WINNERS
from tmelt.evidence.tables import write
from tmelt.schema import read_table


def tabulate_cost(
    *,
    trials: Path,
    runs: Path,
    winners: Path,
    incumbents: Path,
    prices: Path,
    token_prices: Path,
    cost: Path,
    cost_curves: Path,
    crossovers: Path,
    dollar_bands: Path,
    dollar_efficiency: Path,
) -> None:
    """Cost per search, curves over dollars as recorded and under a range of prices, and their crossings."""
    tried, ran, listed = read_table(trials, TRIALS), read_table(runs, RUNS), read_prices(prices, token_prices)
    followed = read_table(incumbents, INCUMBENTS)
    write(cost, tables.cost(tried, ran, read_table(winners, WINNERS), listed), COST)
    curves, crossings = tables.cost_curves(tried, ran, followed, listed)
    write(cost_curves, curves, COST_CURVES)
    write(crossovers, crossings, CROSSOVERS)
    priced = tables.in_dollars(tried, ran, followed, listed)
    write(dollar_bands, bands(priced, tables.DOLLARS), BANDS)
    write(dollar_efficiency, efficiency(priced, tables.DOLLARS), EFFICIENCY)


if __name__ == "__main__":
    run_command(tabulate_cost)
