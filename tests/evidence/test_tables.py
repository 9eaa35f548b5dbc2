"""The tables of a simulated study, whose truth is known, and of studies in which something is missing."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from make_tables import ORDER, SCRIPTS, make_tables
from scipy import stats
from simulated_study import REFERENCE, train_confirmation, true_mae, write_study

from tmelt.evidence import attribution, comparison, cost, incumbents, schema
from tmelt.evidence.attribution import evidence_level
from tmelt.evidence.behaviour import came_true, knob_distance, pareto_front
from tmelt.evidence.calibration import chance
from tmelt.evidence.comparison import Side
from tmelt.evidence.conformal import conformal_radius
from tmelt.evidence.difference import compare
from tmelt.evidence.error_model import Arm, Estimate
from tmelt.evidence.incumbents import mean_until
from tmelt.evidence.make import MAKERS, TABLES, inputs_of
from tmelt.evidence.winners import Confirmed
from tmelt.prices.listed import read_prices
from tmelt.search.history import Proposal
from tmelt.search.knobs import Space
from tmelt.storage.files import sha256_text

SPACE = Space()


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_there_with_its_columns_and_their_meanings(simulated, name):
    written = pq.read_schema(simulated.study / "tables" / f"{name}.parquet")
    assert written.equals(TABLES[name])
    assert all(field.metadata[b"meaning"] for field in written)


def test_no_table_is_empty_that_has_something_to_say(read):
    assert [name for name in TABLES if not len(read(name))] == ["not_tried", "crossovers"]


def test_the_confirmed_error_is_near_the_true_one(simulated, read):
    """Winners' intervals (95 %) hold what the candidates were made to have; 6 of them, so at most one may miss."""
    inside = 0
    for row in read("winners").iter_rows(named=True):
        proposal = Proposal.read(simulated.study / "confirm" / row["candidate"])
        truth = true_mae(proposal.script, proposal.knobs)
        inside += row["test_low"] < truth < row["test_high"]
        assert row["confirmed_seeds"] == 3 and row["failed_seeds"] == 0
        assert row["optimism_low"] < row["optimism"] < row["optimism_high"] or row["iteration"] == 0
    assert inside >= 5


def test_a_winner_is_chosen_by_validation_not_by_test(read):
    runs = read("runs").filter(pl.col("status") == "ok")
    means = runs.group_by("strategy", "trajectory", "iteration").agg(pl.mean("val_mae", "test_mae"))
    best_by_test = means.sort("test_mae").group_by("strategy", "trajectory").first().sort("strategy", "trajectory")
    winners = read("winners").sort("strategy", "trajectory")
    assert (winners["search_test_mae"] >= best_by_test["test_mae"] - 1e-9).all()
    assert winners["iteration"].to_list() != best_by_test["iteration"].to_list()


def test_incumbents_follow_decisions_and_costs_add_up(read):
    followed, trials = read("incumbents"), read("trials")
    joined = followed.join(trials, on=["strategy", "trajectory", "iteration"], suffix="_trial")
    assert (joined["incumbent"] == joined["incumbent_trial"]).all()
    last = followed.sort("iteration").group_by("strategy", "trajectory").last().sort("strategy", "trajectory")
    sums = trials.group_by("strategy", "trajectory").agg(pl.sum("fit_s", "cost_usd")).sort("strategy", "trajectory")
    assert last["fit_s"].to_list() == pytest.approx(sums["fit_s"].to_list())
    assert last["cost_usd"].to_list() == pytest.approx(sums["cost_usd"].to_list())
    paid = read("cost").sort("strategy", "trajectory")
    spent = read("dollar_efficiency").sort("strategy", "trajectory")["spent"]
    assert spent.to_list() == pytest.approx(paid["total_usd"].to_list())
    assert paid["compute_usd"].to_list() == pytest.approx(
        (paid["cpu_s"] / 3600 * read_prices().cpu_core_hour).to_list(), rel=1e-4
    )


def test_bands_at_the_end_are_the_finals(read):
    bands = read("bands").filter((pl.col("axis") == "trials") & (pl.col("split") == "val"))
    followed = read("incumbents")
    for strategy in ("random", "ra", "ua"):
        last = bands.filter(pl.col("strategy") == strategy).sort("x").row(-1, named=True)
        finals = followed.filter((pl.col("strategy") == strategy) & (pl.col("iteration") == 8))["val_mae"]
        assert last["median"] == pytest.approx(finals.median())
        assert (last["lower"], last["upper"]) == pytest.approx((finals.min(), finals.max()))


def test_few_searches_get_intervals_and_no_significance(read):
    pairs = read("comparison").filter(~pl.col("b").is_in(["baseline", "reference"]))
    assert pairs["p_value"].null_count() == pairs["verdict"].null_count() == len(pairs) == 9
    assert pairs["low"].null_count() == 0
    assert pairs["note"].str.contains("fewer than 5 distinct searches").all()
    assert read("strategies")["note"].str.contains("fewer than 5 distinct searches").all()
    assert (pairs["low"] <= pairs["difference"]).all()
    assert (pairs["difference"] <= pairs["high"]).all()


def test_the_chosen_strategy_is_held_against_a_reference_predictor(read):
    rows = read("comparison").filter(b="reference")
    assert rows["metric"].to_list() == ["test_mae", "test_within_rho"] and rows["a"].n_unique() == 1
    fair = read("floors").filter(kind="predictor").sort("val_mae").row(0, named=True)
    assert rows["mean_b"].to_list() == pytest.approx([fair["test_mae"], fair["test_within_rho"]])
    strategy = read("strategies").filter(strategy=rows["a"][0]).row(0, named=True)
    assert rows["mean_a"].to_list() == pytest.approx([strategy["test_mae"], strategy["test_within_rho"]])
    assert rows["p_value"].null_count() == 0 and (rows["p_adjusted"] >= rows["p_value"]).all()


def test_winners_beat_the_baseline_in_the_table(read):
    rows = read("comparison").filter((pl.col("b") == "baseline") & (pl.col("metric") == "test_mae"))
    means = dict(read("strategies").select("strategy", "gain").iter_rows())
    for row in rows.iter_rows(named=True):
        assert row["difference"] == pytest.approx(means[row["a"]])


def test_the_baseline_is_measured_like_a_winner(read):
    (row,) = read("baseline").to_dicts()
    runs = read("confirmed_runs").filter(pl.col("candidate") == row["candidate"])
    assert row["seeds"] == len(runs) == 3
    for name in ("val_mae", "test_mae", "test_within_rho", "test_rmse"):
        assert row[name] == pytest.approx(runs[name].mean())
    assert row["low"] < row["test_mae"] < row["high"]
    against = read("comparison").filter((pl.col("b") == "baseline") & (pl.col("metric") == "test_mae"))
    assert against["mean_b"].to_list() == pytest.approx([row["test_mae"]] * len(against))


def test_changes_of_a_search_add_up_to_its_gain(read):
    changes, shares = read("changes"), read("attribution")
    for row in shares.iter_rows(named=True):
        own = changes.filter((pl.col("strategy") == row["strategy"]) & (pl.col("trajectory") == row["trajectory"]))
        assert own["search_effect"].sum() == pytest.approx(row["search_gain"])
        assert row["in_space"] + row["out_of_space"] + row["unknown"] == pytest.approx(row["gain"])
        if row["strategy"] in ("random", "ra"):
            assert set(own["kind"]) == {"in_space"} and row["switch"] is None and row["out_of_space"] == 0
    scripts = changes.filter(pl.col("kind") != "in_space")
    assert len(scripts) and set(scripts["strategy"]) == {"ua"}
    assert (scripts["diff"].str.len_chars() > 0).all()


def test_the_effect_of_a_change_is_near_the_true_one(simulated, read):
    folder = simulated.study / "confirm"
    plan = pl.read_parquet(folder / "plan.parquet")
    winners = {
        (row["strategy"], row["trajectory"]): Proposal.read(folder / row["candidate"])
        for row in plan.filter(pl.col("purpose") == "winner").iter_rows(named=True)
    }
    truth = {}
    for row in plan.filter(pl.col("purpose") == "ablation").iter_rows(named=True):
        winner, without = winners[row["strategy"], row["trajectory"]], Proposal.read(folder / row["candidate"])
        key = (row["strategy"], row["trajectory"], row["change"], row["part"])
        truth[key] = true_mae(winner.script, winner.knobs) - true_mae(without.script, without.knobs)
    improvements = read("improvements")
    keys = improvements.select("strategy", "trajectory", "iteration", "part").rows()
    assert sorted(truth) == sorted(keys)
    inside = [row["low"] <= truth[key] <= row["high"] for key, row in zip(keys, improvements.to_dicts(), strict=True)]
    assert np.mean(inside) > 0.85
    assert improvements["rank"].to_list() == list(range(1, len(improvements) + 1))
    assert (improvements["found_in"] >= 1).all()


def _effect(value, error, freedom):
    return Estimate(value, {"proteins": (error**2, freedom)})


def test_evidence_levels():
    assert evidence_level(_effect(-1.0, 0.25, 1000), 1) == "confirmed"
    assert evidence_level(_effect(1.0, 0.25, 1000), 1) == "harmful"
    assert evidence_level(_effect(-0.5, 0.35, 1000), 1) == "suggestive"
    assert evidence_level(_effect(-0.1, 0.35, 1000), 1) == "none"
    assert evidence_level(Estimate(-0.1, {}), 1) == "none"
    # 2.2 standard errors: enough for one change, not for one of ten.
    assert evidence_level(_effect(-1.1, 0.5, 1000), 1) == "confirmed"
    assert evidence_level(_effect(-1.1, 0.5, 1000), 10) == "suggestive"


def test_evidence_from_few_seeds_is_widened_by_students_t():
    """With 2 degrees of freedom 5 % in ten parts is 14.1 standard errors; the normal distribution would say 2.8."""
    strict = stats.t.ppf(1 - 0.025 / 10, 2)
    for errors, level in ((0.95 * strict, "suggestive"), (1.05 * strict, "confirmed")):
        assert evidence_level(_effect(-errors, 1.0, 2.0), 10) == level
    assert evidence_level(_effect(-1.1, 1.0, 2.0), 1) == "suggestive"
    assert evidence_level(_effect(-0.9, 1.0, 2.0), 1) == "none"


def test_behaviour_tells_repeats_kinds_and_steps(simulated, read):
    behaviour = read("behaviour")
    first = behaviour.filter(pl.col("iteration") == 0)
    assert first["parent"].null_count() == len(first) and first["kind"].null_count() == len(first)
    repeats = behaviour.drop_nulls("duplicate_of")
    assert len(repeats) > 0
    for row in repeats.iter_rows(named=True):
        folder = simulated.study / row["strategy"] / f"t{row['trajectory']}"
        one, other = (Proposal.read(folder / f"i{i}") for i in (row["iteration"], row["duplicate_of"]))
        assert one.knobs == other.knobs and one.script == other.script
    assert (behaviour.filter(pl.col("strategy") != "ua")["script_change"].drop_nulls() == 0).all()
    assert behaviour["pareto"].any()


def test_failures_name_kind_and_price(read):
    failures, trials = read("failures"), read("trials")
    assert len(failures) == (trials["status"] != "ok").sum()
    refused = failures.filter(pl.col("status") == "refused")
    assert (failures.filter(pl.col("status") == "crash")["reason"] == "exception").all()
    assert (refused["fit_s"] == 0).all()
    assert set(failures.filter(~pl.col("in_space"))["strategy"]) <= {"ua"}


def test_subgroups_make_up_the_whole(read):
    subgroups, predictions = read("subgroups"), read("winner_predictions")
    for (role, strategy, trajectory), part in subgroups.group_by("role", "strategy", "trajectory"):
        if role == "floor":
            continue
        test = predictions.filter(
            (pl.col("split") == "test")
            & (pl.col("role") == role)
            & pl.col("strategy").eq_missing(pl.lit(strategy))
            & pl.col("trajectory").eq_missing(pl.lit(trajectory))
        )
        whole = (test["prediction"] - test["tm"]).abs().mean()
        for dimension in ("organism", "tm_band", "length_band", "distance_band"):
            own = part.filter(pl.col("dimension") == dimension)
            assert own["proteins"].sum() == len(test)
            assert (own["mae"] * own["proteins"]).sum() / len(test) == pytest.approx(whole)


def test_generalisation_goes_the_way_it_was_made(read):
    table = read("generalisation")
    levels = table.filter(pl.col("kind") == "fraction").group_by("level").agg(pl.col("test_mae").mean()).sort("level")
    assert levels["test_mae"][0] > levels["test_mae"][2]
    for _, part in table.group_by("strategy"):
        fractions = part.filter(pl.col("kind") == "fraction").sort("level")
        assert fractions["level"].to_list() == [0.25, 0.5, 1.0]
        organisms = part.filter(pl.col("kind") == "organism")
        assert (organisms["test_mae"] > organisms["reference_mae"]).all()


def test_changes_by_budget_and_data_are_paired(read):
    table, single = read("horizons"), read("generalisation")
    own = table.filter(pl.col("level") == 1)
    assert own["difference"].null_count() == own["p_value"].null_count() == len(own) > 0
    changed = table.filter(pl.col("level") != 1)
    assert (changed["difference_low"] < changed["difference"]).all()
    assert (changed["difference"] < changed["difference_high"]).all()
    for row in changed.to_dicts():
        key = (pl.col("strategy") == row["strategy"]) & (pl.col("kind") == row["kind"])
        means = {
            level: single.filter(key & (pl.col("level") == level))["test_mae"].mean() for level in (row["level"], 1.0)
        }
        assert row["difference"] == pytest.approx(means[row["level"]] - means[1.0])


def test_conformal_intervals_hold_about_as_often_as_they_say_and_the_spread_of_seeds_does_not(read):
    """15 % of the errors' variance is the seeds' here. All candidates share their proteins and 60 % of their errors, so
    a whole study is one draw: with some 26 proteins of select, two standard errors of it are 20 %."""
    whole = read("coverage").filter(pl.col("group") == "all")
    shares = whole.group_by("kind", "level").agg(pl.col("coverage").mean())
    for level in (0.5, 0.8, 0.9, 0.95):
        found = dict(shares.filter(pl.col("level") == level).select("kind", "coverage").iter_rows())
        assert found["conformal"] == pytest.approx(level, abs=0.2)
        assert found["spread"] < min(found["conformal"], level) - 0.02
    winners = read("winner_predictions").filter(pl.col("role") == "winner")
    one = winners.filter((pl.col("strategy") == "ua") & (pl.col("trajectory") == 0))
    held, test = (one.filter(pl.col("split") == split) for split in ("select", "test"))
    radius = (held["prediction"] - held["tm"]).abs().sort()[int(np.ceil((len(held) + 1) * 0.9)) - 1]
    row = whole.filter((pl.col("strategy") == "ua") & (pl.col("trajectory") == 0), kind="conformal", level=0.9).row(
        0, named=True
    )
    assert row["half_width"] == pytest.approx(radius) and row["proteins"] == len(test)
    assert row["coverage"] == pytest.approx(((test["prediction"] - test["tm"]).abs() <= radius).mean())
    organisms = read("coverage").filter(pl.col("group") != "all")
    assert set(organisms["kind"]) == {"conformal"} and set(organisms["level"]) == {0.9}
    assert (organisms["chance_low"] < 0.9).all() and (organisms["chance_high"] > 0.9).all()


def test_fifths_by_spread_make_up_the_whole(read):
    bins, whole = read("calibration"), read("coverage").filter(pl.col("group") == "all", kind="conformal", level=0.9)
    key = ["role", "strategy", "trajectory"]
    means = bins.group_by(key).agg(share=(pl.col("coverage") * pl.col("proteins")).sum() / pl.col("proteins").sum())
    joined = means.join(whole, on=key, nulls_equal=True)
    assert len(joined) == len(means) and joined["share"].to_list() == pytest.approx(joined["coverage"].to_list())


def test_chance_of_a_coverage_by_simulation():
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(4000):
        errors = np.abs(rng.normal(size=50 + 20))
        shares.append((errors[50:] <= conformal_radius(errors[:50], 0.9)).mean())
    low, high = chance(50, 20, 0.9)
    assert (low, high) == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=0.051)  # one protein of twenty


def test_floors_include_the_bounds_of_synthetic_data_and_name_the_oracle(read):
    floors = {row["name"]: row for row in read("floors").iter_rows(named=True)}
    assert set(floors) == {"median", "ridge", "ridge_dipeptides", "mlp", "organism", "noise", "best_reachable"}
    assert floors["noise"]["test_mae"] == 1.2 and floors["noise"]["kind"] == "bound"
    assert floors["organism"]["kind"] == "oracle"
    assert floors["organism"]["test_mae"] < floors["median"]["test_mae"]
    assert floors["median"]["test_within_rho"] == 0


@pytest.mark.slow
def test_tables_come_out_the_same_again(simulated, tmp_path):
    simulated = replace(simulated, study=shutil.copytree(simulated.study, tmp_path / "simulated"))
    tables = simulated.study / "tables"
    names = [name for name in TABLES if name not in ("floors", "floor_predictions")]
    before = {name: (tables / f"{name}.parquet").read_bytes() for name in names}
    make_tables(simulated, only=tuple(name for name in ORDER if name != "tabulate_floors"))
    assert [name for name in names if (tables / f"{name}.parquet").read_bytes() != before[name]] == []


EMPTY = {
    "no trial ran well": {"strategies": ["ra"], "iterations": 2, "failing": lambda s, t, i: "crash"},
    "one seed, no organisms": {"strategies": ["ua"], "iterations": 2, "fresh_seeds": (10**6,), "organisms": False},
    "the baseline failed": {"strategies": ["random", "ua"], "failing": lambda s, t, i: None if i else "timeout"},
    "only baselines": {"strategies": ["bo", "random"], "iterations": 0},
    "nothing confirmed": {"strategies": ["bo"], "fresh_seeds": ()},
    "one strategy failed": {"strategies": ["bo", "ra"], "failing": lambda s, t, i: "oom" if s == "bo" else None},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", EMPTY)
def test_whatever_is_missing_every_table_comes_about(tmp_path, case):
    settings = {"trajectories": 1, "iterations": 1, "seeds": (0,), "proteins": 60} | EMPTY[case]
    study = write_study(tmp_path, **settings)
    train_confirmation(study, purposes=["winner", "baseline", "ablation", "projection", "budget", "organism"])
    only = [name for name in ORDER if name != "tabulate_subgroups"]
    tables = make_tables(study, only=tuple(only))
    for name, columns in TABLES.items():
        if name not in ("floors", "floor_predictions", "subgroups", "calibration", "coverage"):
            assert pq.read_schema(tables / f"{name}.parquet").equals(columns)
    strategies = pl.read_parquet(tables / "strategies.parquet")
    if case in ("no trial ran well", "nothing confirmed"):
        assert strategies["test_mae"].null_count() == len(strategies)
        assert strategies["note"].str.contains("no confirmed winner").all()


def _constant_errors(**mae):
    """Candidates that err by the same amount everywhere, on two seeds."""
    labels = pl.DataFrame(
        {"protein_id": ["a", "b", "c"], "split": ["val", "val", "test"], "organism": [None] * 3, "tm": [50.0] * 3},
        schema_overrides={"organism": pl.String},
    ).with_columns(cluster="protein_id", length=pl.lit(100), identity=pl.lit(0.0))
    return Confirmed(
        labels,
        {name: [1, 2] for name in mae},
        {name: np.full((2, 3), 50.0 + error) for name, error in mae.items()},
    )


def test_a_projection_splits_a_mixed_change():
    knobs = SPACE.defaults()
    mixed = compare(REFERENCE, REFERENCE.replace("64", "65"), knobs, knobs | {"loss": "mae"}, list(knobs))
    plan = pl.DataFrame(
        [
            {"purpose": "projection", "strategy": "ua", "trajectory": 0, "change": 4, "part": part, "candidate": part}
            for part in ("parent", "projected", "child")
        ]
    )
    share = attribution._in_space_share(mixed, plan, _constant_errors(parent=5, projected=4.5, child=3), "ua", 0, 4)
    assert share == (pytest.approx(0.25), "by projection")
    no_gain = attribution._in_space_share(mixed, plan, _constant_errors(parent=3, projected=4, child=3), "ua", 0, 4)
    not_run = attribution._in_space_share(mixed, plan, _constant_errors(parent=5, child=3), "ua", 0, 4)
    assert no_gain == not_run == (None, "unknown")


def _side(name, errors):
    """A side of distinct searches, one run each: errors (searches, proteins)."""
    outcomes = tuple(f"{name}{search}" for search in range(len(errors)))
    return Side(name, Arm.of(list(errors), [[0]] * len(errors), outcomes), outcomes)


def _contrast(better, worse):
    return comparison.compare(_side("a", better), _side("b", worse), "test_mae", np.arange(better.shape[1]))


def test_five_clear_searches_each_give_a_verdict_and_four_give_none():
    rng = np.random.default_rng(0)
    shared = np.abs(rng.normal(5, 1, 80))
    better, worse = shared + rng.normal(0, 0.1, (5, 80)), shared + 0.5 + rng.normal(0, 0.1, (5, 80))
    (row,) = comparison.with_verdicts([_contrast(better, worse)])
    assert row["verdict"] == "a better" and row["p_value"] == pytest.approx(2 / 252) and row["note"] is None
    (row,) = comparison.with_verdicts([_contrast(better[:4], worse)])
    assert row["verdict"] is row["p_value"] is None and "not tested" in row["note"]


def test_copies_of_a_search_establish_nothing():
    rng = np.random.default_rng(0)
    shared = np.abs(rng.normal(5, 1, 80))
    copied = Side("a", Arm.of([shared[None]] * 5, [[0]] * 5, ["same"] * 5), ("same",) * 5)
    other = _side("b", shared + 0.5 + rng.normal(0, 0.1, (5, 80)))
    (row,) = comparison.with_verdicts([comparison.compare(copied, other, "test_mae", np.arange(80))])
    assert (row["n_a"], row["distinct_a"], row["p_value"], row["verdict"]) == (5, 1, None, None)


def test_equal_candidates_have_no_interval_and_no_test():
    same = _side("a", np.ones((1, 30)))
    row = comparison.compare(same, Side("b", same.arm, same.outcomes), "test_mae", np.arange(30))
    assert (row["difference"], row["low"], row["p_value"], row["note"]) == (0, None, None, comparison.SAME)


def test_too_many_pairs_for_five_searches_is_said():
    rng = np.random.default_rng(0)
    errors = {name: np.abs(rng.normal(5 + place, 0.1, (5, 60))) for place, name in enumerate("abcde")}
    rows = comparison.with_verdicts([_contrast(errors[a], errors[b]) for a, b in combinations(errors, 2)])
    assert {row["verdict"] for row in rows} == {"undecided"}
    assert all("cannot be significant among 10 contrasts" in row["note"] for row in rows)


def test_a_registered_contrast_is_tested_before_the_others():
    rng = np.random.default_rng(0)
    errors = {name: np.abs(rng.normal(5 + place, 0.1, (5, 60))) for place, name in enumerate("abcde")}
    rows = [comparison.compare(_side(a, errors[a]), _side(b, errors[b]), "test_mae", np.arange(60))
            for a, b in combinations(errors, 2)]  # fmt: skip
    rows = comparison.with_verdicts(rows, ("e", "b"))
    judged = {(row["a"], row["b"]): row["verdict"] for row in rows}
    assert judged.pop(("b", "e")) == "a better" and set(judged.values()) == {"undecided"}


def test_unequal_numbers_of_searches_have_no_mirror_images():
    """5 against 6 searches can fall to p = 1/462, which is below 0.05 / 20."""
    rng = np.random.default_rng(0)
    better, worse = rng.normal(4, 0.01, (5, 60)), rng.normal(9, 0.01, (6, 60))
    row = _contrast(better, worse)
    assert row["p_value"] == pytest.approx(1 / 462)
    rows = comparison.with_verdicts([dict(row) for _ in range(20)])
    assert all(row["verdict"] == "a better" and row["note"] is None for row in rows)


def test_an_unpriced_gpu_makes_costs_unknown_and_says_so(read):
    runs = read("runs").with_columns(device=pl.lit("Abacus 9000"), device_s=pl.col("cpu_s"))
    table = cost.cost(read("trials"), runs, read("winners"), read_prices())
    assert table["compute_usd"].null_count() == table["total_usd"].null_count() == len(table)
    assert table["note"].str.contains("no price for Abacus 9000").all()
    curves, crossovers = cost.cost_curves(read("trials"), runs, read("incumbents"), read_prices())
    assert len(curves) == len(crossovers) == 0


def test_an_unknown_llm_price_stays_unknown(read):
    trials = read("trials").with_columns(
        cost_usd=pl.when((pl.col("strategy") == "ra") & (pl.col("iteration") == 3)).then(None).otherwise("cost_usd")
    )
    runs = read("runs")
    table = cost.in_dollars(trials, runs, incumbents.incumbents(trials, runs), read_prices())
    agent = table.filter(pl.col("strategy") == "ra")
    assert agent.filter(pl.col("iteration") < 3)["cost_usd"].null_count() == 0
    late = agent.filter(pl.col("iteration") >= 3)
    assert late["cost_usd"].null_count() == late["total_usd"].null_count() == len(late)
    assert table.filter(pl.col("strategy") == "random")["cost_usd"].null_count() == 0
    dollars = incumbents.efficiency(table, cost.DOLLARS)
    assert dollars["auc"].null_count() == len(dollars) and dollars["note"].null_count() == 0
    assert dollars.filter(pl.col("strategy") == "ra")["spent"].null_count() == 2
    assert dollars.filter(pl.col("strategy") != "ra")["spent"].null_count() == 0


def test_area_under_a_step_function_by_hand():
    x, y = np.array([2.0, 6.0]), np.array([5.0, 3.0])
    assert mean_until(x, y, 10.0, discrete=False) == pytest.approx((6 * 5 + 4 * 3) / 10)
    assert mean_until(x, y, 4.0, discrete=False) == pytest.approx(5)
    trials = np.array([0.0, 1.0, 2.0])
    assert mean_until(trials, np.array([6.0, 5.0, 4.0]), 2.0, discrete=True) == pytest.approx(5)


def test_a_gpu_without_a_price_is_unknown_not_free():
    prices = read_prices()
    assert prices.hour("NVIDIA H100 80GB HBM3") == prices.gpu_hour["H100"]
    assert prices.hour("Abacus 9000") is None
    assert prices.tokens


def test_a_gpu_is_priced_by_whole_words():
    prices = read_prices()
    for device, name in (("NVIDIA A100-SXM4-80GB", "A100"), ("NVIDIA L40S", "L40S"), ("Tesla T4", "T4")):
        assert prices.hour(device) == prices.gpu_hour[name]
    for device in ("NVIDIA L40", "NVIDIA RTX A1000 Laptop GPU", "Quadro T400", "NVIDIA GH200 480GB", "NVIDIA A10G"):
        assert prices.hour(device) is None, device


def test_knob_distance_by_hand():
    knobs = SPACE.defaults()
    assert knob_distance(SPACE, knobs, knobs) == 0
    other = knobs | {"loss": "mae", "dropout": 0.35}
    assert knob_distance(SPACE, knobs, other) == pytest.approx(np.sqrt((1 + 0.5**2) / len(knobs)))
    decade = knobs | {"learning_rate": 3e-3}
    assert knob_distance(SPACE, knobs, decade) == pytest.approx(np.sqrt((1 / 3) ** 2 / len(knobs)))


def test_foresight_by_hand():
    assert came_true(-0.3, -0.2, 0.1) is True
    assert came_true(-0.3, -0.05, 0.1) is False
    assert came_true(-0.3, 0.2, 0.1) is False
    assert came_true(None, 0.2, 0.1) is None is came_true(-0.3, None, None)


def test_pareto_front_by_hand():
    assert pareto_front([(1, 5), (2, 2), (3, 3), (2, 2), (None, 0), (5, 1)]) == [0, 1, 3, 5]


def test_importance_finds_the_knobs_that_were_made_to_matter():
    from tmelt.evidence.importance import importance

    rng = np.random.default_rng(0)
    rows = []
    for _ in range(150):
        knobs = SPACE.complete(
            {
                "learning_rate": float(10 ** rng.uniform(-5, -2)),
                "pooling": str(rng.choice(["mean", "max", "attention"])),
                "dropout": float(rng.uniform(0, 0.5)),
                "warmup": float(rng.uniform(0, 0.3)),
                "loss": str(rng.choice(["mse", "huber", "mae"])),
            }
        )
        rows.append(
            {"strategy": "random", "status": "ok", "script": sha256_text(REFERENCE), "knobs": json.dumps(knobs)}
            | {"fidelity": 1.0}
        )
        rows[-1]["val_mae"] = true_mae(REFERENCE, knobs)
    table = importance(pl.DataFrame(rows), sha256_text(REFERENCE), SPACE)
    assert set(table["scope"]) == {"all", "random"}
    ranks = dict(table.filter(pl.col("scope") == "all").select("knob", "rank").iter_rows())
    assert ranks["learning_rate"] <= 2 and ranks["pooling"] <= 3 and ranks["warmup"] > ranks["pooling"]
    shares = table.filter(pl.col("scope") == "all")["importance"]
    assert shares.sum() == pytest.approx(1) and all(a >= b for a, b in pairwise(shares))
    assert len(importance(pl.DataFrame(rows[:5]), sha256_text(REFERENCE), SPACE)) == 0


def test_only_the_cost_tables_read_prices():
    """An edited price must not touch what is said of the winners: no other job sees it."""
    assert [name for name in MAKERS if {"prices", "token_prices"} & set(inputs_of(MAKERS[name]))] == ["cost"]
    sources = [*SCRIPTS.glob("*.py"), *(Path(module.__file__) for module in MAKERS.values())]
    assert [path.stem for path in sources if "read_prices" in path.read_text(encoding="utf-8")] == ["cost"]
    assert "total_usd" not in schema.INCUMBENTS.names + schema.STRATEGIES.names


def test_each_job_makes_the_tables_that_it_declares_after_those_that_it_reads():
    made = ["runs", "confirmed_runs"]
    for name, module in MAKERS.items():
        assert {read for read in inputs_of(module) if read in TABLES} <= set(made), name
        made += module.TABLES
    assert sorted(made) == sorted(TABLES)


def test_tables_are_made_by_hand_as_well(simulated, tmp_path):
    found = simulated.study / "tables"
    command = [sys.executable, SCRIPTS / "make_tables.py", "spread", "--winners", found / "winners.parquet"]
    subprocess.run([*command, "--spread", tmp_path / "spread.parquet"], check=True)
    assert (tmp_path / "spread.parquet").read_bytes() == (found / "spread.parquet").read_bytes()
    done = subprocess.run([sys.executable, SCRIPTS / "make_tables.py", "sprad"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the first argument names what is made: ") and "spread" in done.stderr


def test_a_search_that_ended_keeps_its_incumbent():
    x, y, grid = np.array([1.0, 4.0]), np.array([5.0, 3.0]), np.array([0.5, 1.0, 3.9, 4.0, 99.0])
    assert incumbents.at(x, y, grid).tolist()[1:] == [5, 5, 3, 3] and np.isnan(incumbents.at(x, y, grid)[0])


def test_more_money_never_makes_a_median_worse_than_its_searches(read):
    curves = read("cost_curves").filter(pl.col("token_price") == "recorded")
    for (strategy, _), part in curves.group_by("strategy", "compute_usd_per_h"):
        final = read("incumbents").filter((pl.col("strategy") == strategy) & (pl.col("iteration") == 8))["val_mae"]
        assert part.sort("usd")["median_val_mae"][-1] == pytest.approx(final.median())


def test_a_change_that_cannot_be_left_out_alone_has_a_row_with_a_note():
    kept = {"strategy": "ua", "trajectory": 0, "functions": ["fit"], "diff": "+x"}
    changed = pl.DataFrame([kept | {"iteration": 2}, kept | {"iteration": 5}, kept | {"trajectory": 1, "iteration": 3}])
    ablated = pl.DataFrame([{"strategy": "ua", "trajectory": 0, "part": "script", "change": 5}])
    rows = attribution._overlapped(changed, ablated)
    assert [(row["iteration"], row["effect"], row["evidence"]) for row in rows] == [(2, None, "not run")]
    assert "cannot be left out alone" in rows[0]["note"]
