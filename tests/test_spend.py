"""Searches whose budget is device seconds or dollars: when they end, what they do not know, and how they go on."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from simulation import Landscape, outcome
from workflow import Workspace, study

from tmelt.errors import InputError
from tmelt.evidence.cost import compute_cost
from tmelt.jobs.amounts import extent_name
from tmelt.prices.listed import read_prices
from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Space
from tmelt.search.notes import UsedUp, find
from tmelt.search.spend import Meter, stop_if_used_up
from tmelt.storage.files import read_json, write_json
from tmelt.storage.schema import RUN, as_frame, write_table
from tmelt.strategies.check_options import check_options
from tmelt.study.config import parse_config
from tmelt.study.protocol import guard
from tmelt.study.resume import stop_circumstances

SPACE = Space()


def searched(trials: int, **changes) -> History:
    """A history of trials of 33 CPU seconds each, as the simulation has them."""
    history = History()
    for number in range(trials):
        proposal = Proposal(SPACE.defaults(), "", origin="sampler" if number else "baseline")
        history = outcome(history, replace(proposal, **changes) if number else proposal, Landscape(SPACE))
    return history


@pytest.mark.parametrize(("trials", "ends"), [(1, False), (3, False), (4, True)])
def test_a_search_goes_on_until_its_seconds_are_used(trials, ends):
    stop = stop_if_used_up(searched(trials), Meter(Path(), "cpu", "device_s"), 100)
    assert (stop is not None) == ends
    if stop is not None:
        assert stop.status == "stopped" and stop.error == "used 132 CPU core seconds of 100 CPU core seconds"
        assert find(stop.state, UsedUp) == UsedUp(unit="device_s", limit=100, used=132)


def test_what_agents_use_counts():
    meter = Meter(Path(), "cpu", "device_s")
    assert meter.used(searched(3, tool_cpu_s=7.0)) == pytest.approx(3 * 33 + 2 * 7)
    dollars = Meter(Path(), "cpu", "usd")
    assert dollars.used(searched(3, cost_usd=0.25)) - dollars.used(searched(3)) == pytest.approx(0.5)


def test_unknown_cost_stops_a_search_in_dollars_and_no_other():
    history = searched(3, cost_usd=None, llm_calls=1)
    stop = stop_if_used_up(history, Meter(Path(), "cpu", "usd"), 100)
    assert find(stop.state, UsedUp).used is None
    assert "what trial 1 cost is unknown" in stop.error
    assert stop_if_used_up(history, Meter(Path(), "cpu", "device_s"), 1000) is None


@pytest.mark.parametrize("device", ["NVIDIA H100 80GB HBM3", "A GPU without a price"])
def test_dollars_are_those_of_the_cost_table(tmp_path, device):
    history = searched(2, cost_usd=0.125)
    runs = []
    for trial in history:
        for seed in trial.seeds:
            run = dict.fromkeys(RUN.names) | {"seed": seed, "device": device, "device_s": 40.0, "cpu_s": 90.0}
            write_table(tmp_path / f"i{trial.iteration}" / f"s{seed}" / "run.parquet", [run], RUN)
            key = pl.lit("simulated").alias("strategy"), pl.lit(0).alias("trajectory"), pl.lit(trial.iteration)
            runs.append(as_frame([run], RUN).with_columns(*key[:2], key[2].alias("iteration")))
    trials = pl.DataFrame([trial.row for trial in history], infer_schema_length=None)
    keys = pl.col("trajectory", "iteration").cast(pl.Int64)
    table = compute_cost(trials.with_columns(keys), pl.concat(runs).with_columns(keys), read_prices())
    costs = [Meter(tmp_path, "cuda", "usd").cost(trial) for trial in history]
    assert costs == [pytest.approx(cost) for cost in table["trial_usd"].to_list()]
    assert (None in costs) == (device == "A GPU without a price")


def test_a_budget_in_trials_is_iterations():
    whole = parse_config(study(iterations=4))
    raw = study(until={"trials": 4})
    del raw["extent"]["iterations"]
    assert parse_config(raw) == whole
    own = parse_config(study(iterations=4, strategies={"a": {"kind": "random"}, "b": {"kind": "bo", "iterations": 9}}))
    assert [extent_name(own, name) for name in ("a", "b")] == ["n4_s1", "n9_s1"]
    assert "iterations" not in own.extent.strategies["b"].options
    assert own.extent.trials == 5 + 10


@pytest.mark.parametrize(
    ("extent", "message"),
    [
        ({"until": {"usd": 1, "device_s": 2}}, "exactly one of trials, device_s and usd"),
        ({"until": {}}, "exactly one of trials, device_s and usd"),
        ({"until": {"usd": 0}}, "greater than 0"),
        ({"until": {"hours": 1}}, "hours"),
        ({"until": {"trials": 3}, "iterations": 4}, "until.trials and iterations differ"),
        ({"until": {"usd": 3}, "iterations": None}, "needs `iterations` beside it"),
    ],
)
def test_impossible_budgets_are_refused(extent, message):
    raw = study(**extent)
    if raw["extent"]["iterations"] is None:
        del raw["extent"]["iterations"]
    with pytest.raises(InputError, match=message):
        parse_config(raw)


def test_dollars_need_the_price_of_each_model_before_anything_starts():
    agent = {"kind": "ra", "model": "openai:no-such-model"}
    config = parse_config(study(until={"usd": 2}, strategies={"a": agent}))
    strategy = config.extent.strategies["a"]
    with pytest.raises(InputError, match=r"extent\.until\.usd needs the price of openai:no-such-model"):
        check_options("a", strategy.kind, strategy.options, config)
    check_options("a", strategy.kind, strategy.options, parse_config(study(until={"device_s": 2})))


def test_a_stop_depends_on_the_budget(tmp_path):
    plain = stop_circumstances({}, tmp_path)
    hashes = {stop_circumstances({}, tmp_path, limit) for limit in (("usd", 1.0), ("usd", 2.0), ("device_s", 1.0))}
    assert len(hashes | {plain}) == 4


@pytest.mark.slow
def test_a_search_ends_with_its_budget_and_goes_on_with_a_larger_one(tmp_path):
    space = Workspace(tmp_path / "space", study(iterations=2, until={"device_s": 0.05}, runtime={"block": 2}))

    def run() -> tuple[int, dict]:
        config = parse_config(space.config)
        gathered = f"results/smallest/bo/t0/trials_{extent_name(config, 'bo')}.parquet"
        space.write_config()
        space.run(targets=[gathered])
        marker = read_json(sorted((space.study / "bo" / "t0" / "blocks").glob("*.json"))[0])
        return len(pl.read_parquet(space.folder / gathered)), marker

    trials, marker = run()
    assert trials == 1 and marker["used_up"]["limit"] == 0.05 < marker["used_up"]["used"]
    first = space.hashes("bo/t0/i0/**/*.parquet")
    space.config["extent"]["until"] = {"device_s": 1e6}
    assert run() == (3, {"status": "continue"})
    assert space.hashes("bo/t0/i0/**/*.parquet") == first
    write_json(space.study / "bo" / "t0" / "blocks" / "1.json", marker | {"used_up": marker["used_up"] | {"limit": 7}})
    space.config["extent"]["until"] = {"device_s": 6}
    with pytest.raises(InputError, match=r"extent\.until\.device_s: 7 -> 6; it may only grow"):
        guard(parse_config(space.config), space.study, record=False)
