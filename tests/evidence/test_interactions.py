"""Shapley values of a winner's changes from predictions whose true errors are known."""

import itertools
import json

import numpy as np
import polars as pl
import pytest
from simulated_study import Errors, true_mae

from tmelt.evidence.confirmation import plan_confirmation
from tmelt.evidence.interactions import Game, interactions
from tmelt.evidence.schema import CHANGES, PLAN
from tmelt.evidence.shapley import pair_weights
from tmelt.evidence.tables import table
from tmelt.evidence.winners import Confirmed
from tmelt.search.history import Proposal

BASE = 6.0
A, B, C = ("a",), ("b",), ("c",)


def _subsets(*players):
    return [frozenset(kept) for size in range(len(players) + 1) for kept in itertools.combinations(players, size)]


def _name(kept):
    return "c" + "".join(sorted(unit for player in kept for unit in player))


def _world(effects, players, salt="", seeds=3, proteins=400):
    """Predictions of every subset, whose true MAE is 6 °C plus the effects of all changes inside it."""
    families = [f"F{place // 2}" for place in range(proteins)]
    labels = pl.DataFrame(
        {
            "protein_id": [f"P{place}" for place in range(proteins)],
            "split": ["val" if place % 4 < 2 else "test" for place in range(proteins)],
            "organism": pl.Series([None] * proteins, dtype=pl.String),
            "cluster": families,
            "length": [100] * proteins,
            "identity": [0.0] * proteins,
            "tm": [50.0] * proteins,
        }
    )
    draw = Errors(labels["protein_id"].to_list(), families, salt=salt)
    subsets = {kept: _name(kept) for kept in _subsets(*players)}
    predictions = {
        name: np.stack([50.0 + draw.draw(_mae(effects, kept), name, seed) for seed in range(seeds)])
        for kept, name in subsets.items()
    }
    return subsets, Confirmed(labels, {name: list(range(seeds)) for name in predictions}, predictions)


def _mae(effects, kept):
    return BASE + sum(effect for part, effect in effects.items() if set(part) <= kept)


def _plan(subsets, confirmed):
    rows = [
        {"purpose": "interaction", "candidate": name, "strategy": "ua", "trajectory": 0, "iteration": 7, "change": None,
         "part": json.dumps(["+".join(player) for player in sorted(kept)]), "level": None, "organism": None,
         "seeds": [0, 1, 2], "budget_factor": 1.0, "fit_fraction": 1.0, "without_organism": None}
        for kept, name in subsets.items()
    ]  # fmt: skip
    return table(rows, PLAN)


def _table(folder, subsets, confirmed):
    for kept, name in subsets.items():
        knobs = {unit: 1 for player in kept for unit in player}
        Proposal(knobs=knobs, script="", origin="confirmation").write(folder / "confirm" / name)
    return interactions(table([], CHANGES), _plan(subsets, confirmed), confirmed, folder)


CASES = {
    # two changes that do the same: either brings the whole degree, both bring no more
    "redundant": ({(A,): -1.0, (B,): -1.0, (A, B): 1.0}, {"a": -0.5, "b": -0.5, "pair": 1.0}),
    # two changes that need each other
    "synergy": ({(A, B): -1.0}, {"a": -0.5, "b": -0.5, "pair": -1.0}),
    "additive": ({(A,): -1.0, (B,): -0.4}, {"a": -1.0, "b": -0.4, "pair": 0.0}),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_interaction_of_two_changes(tmp_path, case):
    effects, truth = CASES[case]
    subsets, confirmed = _world(effects, [A, B], proteins=4000)
    rows = _table(tmp_path, subsets, confirmed)
    found = {"pair" if row["term"] == "pair" else row["change"][0]: row for row in rows.to_dicts()}
    assert set(found) == {"a", "b", "pair"}
    for name, expected in truth.items():
        width = found[name]["high"] - found[name]["low"]  # one draw of twenty lies outside the interval itself
        assert found[name]["low"] - width / 4 < expected < found[name]["high"] + width / 4
        assert found[name]["effect"] == pytest.approx(expected, abs=0.3)
    gain = confirmed.difference("cab", "c", "test").value
    assert found["a"]["effect"] + found["b"]["effect"] == pytest.approx(gain)
    assert found["a"]["orders"] == 2 and found["a"]["complete"] and found["a"]["seeds"] == 3


def test_leaving_one_out_misses_what_shapley_values_show():
    """Redundant: each counts nothing. Synergy: each counts the whole."""
    for case, alone in (("redundant", 0.0), ("synergy", -1.0)):
        _, confirmed = _world(CASES[case][0], [A, B], proteins=4000)
        for without in ("ca", "cb"):
            found = confirmed.difference("cab", without, "test")
            assert found.interval()[0] < alone < found.interval()[1]
            assert not found.interval()[0] < -0.5 < found.interval()[1]


@pytest.mark.slow
def test_intervals_cover_the_true_values():
    """Three changes with every interaction, 150 worlds, three seeds: coverage within three standard errors of 95 %."""
    effects = {(A,): -0.8, (B,): -0.5, (C,): 0.2, (A, B): 0.4, (B, C): -0.3, (A, B, C): -0.6}
    truth = {
        player: sum(effect / len(part) for part, effect in effects.items() if player in part) for player in (A, B, C)
    }
    together = effects[(A, B)] + effects[(A, B, C)]
    inside, pairs = [], []
    for world in range(150):
        subsets, confirmed = _world(effects, [A, B, C], salt=f"{world}/")
        game = Game.of(subsets, confirmed)
        for player in (A, B, C):
            low, high = game.value(player, "test").interval()
            inside.append(low <= truth[player] <= high)
        low, high = game.combination(pair_weights(game.players, A, B), "test").interval()
        pairs.append(low <= together <= high)
    least = 0.95 - 3 * np.sqrt(0.05 * 0.95 / 150)
    assert np.mean(inside) > least and np.mean(pairs) > least


def test_the_same_as_a_sum_of_estimates_by_seed_and_protein():
    subsets, confirmed = _world(CASES["synergy"][0], [A, B])
    game = Game.of(subsets, confirmed)
    inside = confirmed.inside("test")
    errors = {name: np.abs(values[:, inside] - 50.0) for name, values in confirmed.predictions.items()}
    expected = (errors["ca"] - errors["c"] + errors["cab"] - errors["cb"]) / 2
    found = game.value(A, "test")
    assert found.value == pytest.approx(expected.mean())
    # paired: the spread between seeds of the combined errors, not of the candidates one by one
    assert found.parts["training seeds"][0] == pytest.approx(expected.mean(axis=1).var(ddof=1) / 3)


def test_only_seeds_that_all_candidates_have_are_compared(tmp_path):
    subsets, confirmed = _world(CASES["additive"][0], [A, B])
    confirmed.seeds["ca"] = [0, 2]
    confirmed.predictions["ca"] = confirmed.predictions["ca"][[0, 2]]
    rows = _table(tmp_path, subsets, confirmed)
    assert set(rows["seeds"]) == {2}
    gain = np.mean(
        [confirmed.errors("cab", "test")[s].mean() - confirmed.errors("c", "test")[s].mean() for s in (0, 2)]
    )
    assert rows.filter(term="change")["effect"].sum() == pytest.approx(gain)


def test_failed_candidates_take_their_orders_and_mirror_images_with_them(tmp_path):
    subsets, confirmed = _world({(A,): -1.0}, [A, B, C])
    del confirmed.predictions["cab"]
    rows = _table(tmp_path, subsets, confirmed).filter(term="change")
    assert set(rows["orders"]) == {2} and rows["note"].str.contains("1 of its candidates failed").all()
    assert rows["effect"].sum() == pytest.approx(confirmed.difference("cabc", "c", "test").value)
    for lost in ("ca", "cb", "cc"):
        del confirmed.predictions[lost]
    rows = _table(tmp_path, subsets, confirmed)
    assert rows["effect"].null_count() == len(rows) == 3 and rows["note"].str.starts_with("not known").all()


def test_a_change_that_makes_no_other_candidate_counts_nothing(tmp_path):
    subsets, confirmed = _world({(A,): -1.0}, [A, B])
    subsets = {kept: _name(kept - {B}) for kept in subsets}
    rows = _table(tmp_path, subsets, confirmed)
    (same,) = rows.filter(pl.col("change").str.starts_with("b:")).to_dicts()
    assert (same["effect"], same["low"], same["note"]) == (0, None, "the same candidate with and without it")


def test_changes_are_told_in_words(tmp_path):
    effects = {(A,): -1.0}
    rows = _table(tmp_path, *_world(effects, [A, ("b", "script@5")]))
    assert set(rows["change"]) == {
        "a: inactive → 1", "b: inactive → 1 + script of trial 5: spelling",
        "a: inactive → 1 × b: inactive → 1 + script of trial 5: spelling",
    }  # fmt: skip
    assert set(rows["kind"]) == {"in_space", "mixed"} and rows.filter(kind="mixed")["joined"].min() == 2


def test_values_of_a_study_add_up_to_the_gain_of_its_winners(simulated, read):
    rows, winners = read("interactions"), read("winners")
    assert len(rows.filter(term="pair")) > 0 and (rows["low"] <= rows["effect"]).all()
    for (strategy, trajectory), part in rows.filter(term="change").group_by("strategy", "trajectory"):
        gain = winners.filter(strategy=strategy, trajectory=trajectory)["gain"][0]
        assert part["effect"].sum() == pytest.approx(gain)
    plan = pl.read_parquet(simulated.study / "confirm" / "plan.parquet").filter(purpose="interaction")
    known = plan.filter(pl.col("part") != "[]")
    for (_, _), part in known.group_by("strategy", "trajectory"):
        assert part["candidate"].n_unique() <= 12 + 1


def test_values_of_a_study_are_near_the_true_ones(simulated, read):
    """The simulated truth is additive but for knobs that a script replaces, so a change is worth its own effect."""
    folder = simulated.study / "confirm"
    plan = pl.read_parquet(folder / "plan.parquet").filter(purpose="interaction")
    truth = {}
    for strategy, trajectory, part, candidate in plan.select("strategy", "trajectory", "part", "candidate").iter_rows():
        made = Proposal.read(folder / candidate)
        truth[(strategy, trajectory, part)] = true_mae(made.script, made.knobs)
    for (strategy, trajectory), rows in read("interactions").filter(term="change").group_by("strategy", "trajectory"):
        own = {part: mae for (s, t, part), mae in truth.items() if (s, t) == (strategy, trajectory)}
        gain = own[max(own, key=lambda part: len(json.loads(part)))] - own["[]"]
        error = np.sqrt(((rows["high"] - rows["low"]) / 4).pow(2).sum())
        assert abs(rows["effect"].sum() - gain) < 4 * error


def test_a_plan_keeps_the_candidates_of_its_other_purposes(simulated, read):
    purposes = ["winner", "baseline", "ablation", "projection"]
    without, _ = plan_confirmation(
        read("trials"), read("choices"), simulated.study, simulated.space, simulated.fresh_seeds, purposes=purposes
    )
    plan = pl.read_parquet(simulated.study / "confirm" / "plan.parquet")
    assert plan.filter(pl.col("purpose").is_in(purposes)).equals(without)
    assert "interaction" in set(plan["purpose"])
