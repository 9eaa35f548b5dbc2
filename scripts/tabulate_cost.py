"""Price the searches, and find where one strategy overtakes another.

Reads   trials, runs, winners, incumbents (tables/); the price files of the library
Writes  cost, cost_curves, crossovers (tables/)
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.evidence import cost as tables
from tmelt.evidence.prices import read_prices
from tmelt.evidence.reading import write
from tmelt.evidence.schema import COST, COST_CURVES, CROSSOVERS, INCUMBENTS, RUNS, TRIALS, WINNERS
from tmelt.schema import read_table


def tabulate_cost(
    *, trials: Path, runs: Path, winners: Path, incumbents: Path, cost: Path, cost_curves: Path, crossovers: Path
) -> None:
    """Cost per search, median curves over dollars under a range of prices, and their crossings."""
    tried, ran, prices = read_table(trials, TRIALS), read_table(runs, RUNS), read_prices()
    write(cost, tables.cost(tried, ran, read_table(winners, WINNERS), prices), COST)
    curves, crossings = tables.cost_curves(tried, ran, read_table(incumbents, INCUMBENTS), prices)
    write(cost_curves, curves, COST_CURVES)
    write(crossovers, crossings, CROSSOVERS)


if __name__ == "__main__":
    run_command(tabulate_cost)
