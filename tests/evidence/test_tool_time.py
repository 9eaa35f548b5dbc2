"""Time of agents' checks and tries: part of every cost figure of their search, and of no other."""

import polars as pl
import pytest

from tmelt.evidence.cost import compute_cost, in_dollars
from tmelt.evidence.tool_time import with_tool_runs, with_tool_time
from tmelt.prices.listed import Prices

PRICES = Prices({"H200": 3.6}, 0.36, (1.0,), {}, "test", "test")


def study(device: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Trials and runs of a search with tools and of one without, of two trials each."""
    keys = [("agent", 0, 0), ("agent", 0, 1), ("bo", 0, 0), ("bo", 0, 1)]
    gpu = device != "cpu"
    trials = pl.DataFrame(
        [
            {
                "strategy": strategy, "trajectory": trajectory, "iteration": iteration, "cost_usd": 0.0,
                "fit_s": 10.0, "cpu_s": 11.0, "device_s": 12.0 if gpu else 0.0,
                "tool_s": 5.0 * used, "tool_cpu_s": 100.0 * used, "tool_device_s": 50.0 * used * gpu,
            }
            for strategy, trajectory, iteration in keys
            for used in [float(strategy == "agent" and iteration == 1)]
        ]
    )  # fmt: skip
    runs = trials.select("strategy", "trajectory", "iteration", "cpu_s", "device_s", device=pl.lit(device))
    return trials, runs


@pytest.mark.parametrize(("device", "price", "run", "tool"), [("cpu", 0.36, 11, 100), ("NVIDIA H200", 3.6, 12, 50)])
def test_tools_are_paid_at_the_price_of_their_search_s_device(device, price, run, tool):
    trials, runs = study(device)
    priced = compute_cost(trials, runs, PRICES)
    assert priced["paid_s"].to_list() == [run, run + tool, run, run]
    assert priced["compute_usd"].to_list() == pytest.approx([s / 3600 * price for s in (run, run + tool, run, run)])
    incumbents = trials.select("strategy", "trajectory", "iteration")
    total = in_dollars(trials, runs, incumbents, PRICES)["total_usd"].to_list()
    assert total == pytest.approx([s / 3600 * price for s in (run, 2 * run + tool, run, 2 * run)])


def test_seconds_include_tools():
    trials, _ = study("NVIDIA H200")
    with_tools = with_tool_time(trials)
    assert with_tools["fit_s"].to_list() == [10, 15, 10, 10] and with_tools["cpu_s"].to_list() == [11, 111, 11, 11]
    assert with_tools["device_s"].to_list() == [12, 62, 12, 12]


def test_a_study_without_tools_has_its_runs_alone():
    trials, runs = study("cpu")
    assert with_tool_runs(runs, trials.with_columns(tool_cpu_s=pl.lit(0.0))).equals(runs)
