"""Subsets of a winner's changes, and Shapley values from them."""

import itertools
import json
import math

import numpy as np
import pytest
from simulated_study import AVERAGE, COMPOSITION, REFERENCE
from test_confirmation import KNOBS, SPACE, _path

from tmelt.evidence.coalitions import coalitions, undefined_names, units_of
from tmelt.evidence.confirmation import Candidate, ablations
from tmelt.evidence.shapley import mirrored_orders, pair_weights, shapley_weights

GAINS = {3: -0.2, 5: -0.9, 9: -0.5}


def _made(path, runs=126, gains=GAINS):
    return {frozenset(units_of(part)): candidate for part, candidate in coalitions(path, SPACE, gains, runs)}


def _players(made):
    return max(made, key=len)


def test_all_subsets_are_built_where_they_fit():
    path = _path()
    made = _made(path)
    assert _players(made) == {("loss",), ("patience",), ("pooling",), ("script@5",), ("script@9",)}
    assert len(made) == 2**5
    assert made[frozenset()] == path[0][1] and made[_players(made)] == path[-1][1]
    only = made[frozenset({("pooling",), ("script@9",)})]
    assert only.knobs == SPACE.complete({"pooling": "attention"}) and "bins" not in only.knobs
    assert "weight_average" in only.script and "residue_composition" not in only.script


def test_leaving_one_out_is_the_candidate_of_the_ablation():
    path = _path()
    made = _made(path)
    for iteration, part, candidate in ablations(path, SPACE):
        unit = f"script@{iteration}" if part == "script" else part
        assert made[_players(made) - {(unit,)}].name == candidate.name


def test_few_candidates_are_sampled_in_mirrored_orders_within_the_budget():
    made = _made(_path(), runs=12)
    players = _players(made)
    assert len(players) == 5 and len(made) <= 12 + 2
    assert mirrored_orders(list(players), made)
    largest, next_one = ("script@9",), ("pooling",)  # trial 5 brought two changes: half of its gain each
    assert {players - {largest}, players - {next_one}, players - {largest, next_one}} <= set(made)
    assert list(_made(_path(), runs=12).items()) == list(made.items())


@pytest.mark.parametrize("runs", range(2, 16))
def test_changes_are_joined_until_the_budget_suffices(runs):
    path = _path()
    made = _made(path, runs)
    assert len({candidate.name for candidate in made.values()} - {path[0][1].name, path[-1][1].name}) <= runs
    assert mirrored_orders(list(_players(made)), made)
    assert sorted(unit for player in _players(made) for unit in player) == sorted(
        ["loss", "patience", "pooling", "script@5", "script@9"]
    )


def test_units_of_the_trial_with_the_smallest_gain_are_joined_first():
    assert {"loss", "patience"} in map(set, _players(_made(_path(), 7)))
    assert ("pooling", "script@5") in _players(_made(_path(), 7, {3: -2.0, 5: -0.1, 9: -0.5}))


def test_knobs_of_a_category_are_joined_before_those_of_a_trial():
    both = {"width": 128, "pooling": "max", "learning_rate": 1e-3, "batch_size": 128}
    path = [(0, Candidate(REFERENCE, KNOBS)), (1, Candidate(REFERENCE, KNOBS | both | {"patience": 9}))]
    assert set(map(frozenset, _players(_made(path, 6, {1: -1})))) == {
        frozenset({"width", "pooling"}), frozenset({"learning_rate", "batch_size", "patience"})
    }  # fmt: skip
    path.append((2, Candidate(REFERENCE, path[1][1].knobs | {"dropout": 0.3, "crop": 512})))
    joined = set(map(frozenset, _players(_made(path, 6, {1: -1, 2: -2}))))
    assert joined == {frozenset({*both, "patience"}), frozenset({"dropout"}), frozenset({"crop"})}


def test_changes_of_the_same_lines_are_one_player():
    wider = REFERENCE.replace("HIDDEN = 64", "HIDDEN = 256")
    widest = wider.replace("HIDDEN = 256", "HIDDEN = 512")
    averaged = widest.replace("def fit(", AVERAGE + "def fit(")
    path = [(place, Candidate(script, KNOBS)) for place, script in enumerate([REFERENCE, wider, widest, averaged])]
    made = _made(path, gains={1: -1, 2: -1, 3: -1})
    assert _players(made) == {("script@1", "script@2"), ("script@3",)} and len(made) == 4
    alone = made[frozenset({("script@3",)})].script
    assert "HIDDEN = 64" in alone and "weight_average" in alone


def test_a_change_that_uses_a_name_of_another_is_one_with_it():
    composed = REFERENCE.replace("def loss_function", COMPOSITION + "def loss_function")
    other = composed.replace("HIDDEN = 64", "HIDDEN = 256")
    using = other.replace(
        "    x = features(task.fit)\n", "    x = features(task.fit)\n    residue_composition(task.fit)\n"
    )
    path = [(place, Candidate(script, KNOBS)) for place, script in enumerate([REFERENCE, composed, other, using])]
    made = _made(path, gains={1: -1, 2: -1, 3: -1})
    assert _players(made) == {("script@1", "script@3"), ("script@2",)}


def test_a_change_that_reads_a_knob_of_another_is_one_with_it():
    declared = REFERENCE.replace("HIDDEN = 64\n", 'HIDDEN = 64\nKNOBS = [{"name": "bins", "kind": "int"}]\n')
    reading = declared.replace("    torch.save(", '    print(knobs["bins"])\n    torch.save(')
    path = [(0, Candidate(REFERENCE, KNOBS)), (1, Candidate(declared, KNOBS | {"bins": 5}))]
    path.append((2, Candidate(reading, KNOBS | {"bins": 5})))
    assert len(_made(path, gains={1: -1, 2: -1})) == 2


def test_a_change_of_spelling_belongs_to_the_next_change():
    spelled = REFERENCE.replace("x = features", "x  = features")
    changed = spelled.replace("HIDDEN = 64", "HIDDEN = 256")
    path = [
        (0, Candidate(REFERENCE, KNOBS)),
        (1, Candidate(spelled, KNOBS | {"width": 128})),
        (2, Candidate(changed, KNOBS | {"width": 128})),
    ]
    made = _made(path, gains={1: -1, 2: -1})
    assert _players(made) == {("width",), ("script@2",)}
    assert made[frozenset({("width",)})].script == REFERENCE
    assert made[frozenset({("script@2",)})].script == changed


def test_a_knob_that_only_counts_with_another_comes_and_goes_with_it():
    winner = Candidate(REFERENCE, SPACE.complete(KNOBS | {"loss": "huber", "huber_delta": 2.0}))
    made = _made([(0, Candidate(REFERENCE, KNOBS)), (1, winner)], gains={1: -1})
    assert made[frozenset({("huber_delta",)})] == Candidate(REFERENCE, KNOBS)
    assert made[frozenset({("loss",)})].knobs["huber_delta"] == SPACE["huber_delta"].default


def test_a_winner_without_changes_has_no_subsets():
    assert _made(_path()[:1]) == {}
    respelled = Candidate(REFERENCE.replace("x = features", "x  = features"), KNOBS)
    assert _made([(0, Candidate(REFERENCE, KNOBS)), (1, respelled)]) == {}


def test_undefined_names_are_found_in_every_scope():
    script = (
        "import os\nA = 1\ndef f(x):\n    y = x + A + B\n    return [z + C for z in y if os]\nclass D(E):\n    g = f\n"
    )
    assert undefined_names(script) == {"B", "C", "E"}
    assert undefined_names(script + "B = C = E = len\n") == frozenset()


def _values(players, effects):
    """The value of every subset from effects of subsets: a sum over the effects inside it."""
    every = [frozenset(kept) for size in range(len(players) + 1) for kept in itertools.combinations(players, size)]
    return {kept: sum(effect for part, effect in effects.items() if set(part) <= kept) for kept in every}


def _shapley(players, value):
    orders = mirrored_orders(players, value)
    return {
        player: sum(weight * value[kept] for kept, weight in shapley_weights(orders, player).items())
        for player in players
    }


def test_shapley_values_of_all_orders_are_the_textbooks():
    players = ["a", "b", "c", "d"]
    rng = np.random.default_rng(3)
    value = {kept: rng.normal() for kept in _values(players, {})}
    found = _shapley(players, value)
    for player in players:
        others = [kept for kept in value if player not in kept]
        weights = [math.factorial(len(kept)) * math.factorial(3 - len(kept)) / math.factorial(4) for kept in others]
        expected = sum(w * (value[kept | {player}] - value[kept]) for w, kept in zip(weights, others, strict=True))
        assert found[player] == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(value[frozenset(players)] - value[frozenset()])


def test_one_order_and_its_mirror_image_are_exact_for_pairs():
    players = list("abcdef")
    rng = np.random.default_rng(4)
    effects = {pair: rng.normal() for size in (1, 2) for pair in itertools.combinations(players, size)}
    value = _values(players, effects)
    order = ["c", "a", "f", "b", "e", "d"]
    measured = [frozenset(line[:size]) for line in (order, order[::-1]) for size in range(7)]
    found = _shapley(players, {kept: value[kept] for kept in measured})
    for player in players:
        mine = [effect / len(part) for part, effect in effects.items() if player in part]
        assert found[player] == pytest.approx(sum(mine))


def test_an_order_with_a_gap_is_left_out_with_its_mirror_image():
    value = _values(["a", "b"], {("a",): 1.0, ("b",): 2.0})
    del value[frozenset("a")]
    assert mirrored_orders(["a", "b"], value) == []
    value = _values(["a", "b", "c"], {})
    del value[frozenset("ab")]
    assert sorted("".join(order) for order in mirrored_orders("abc", value)) == ["acb", "bca"]


def test_the_interaction_of_a_pair_is_what_it_has_beyond_its_parts():
    value = _values(
        ["a", "b", "c"], {("a",): -1.0, ("b",): -2.0, ("a", "b"): 0.7, ("a", "c"): 5.0, ("a", "b", "c"): 0.1}
    )
    weights = pair_weights("abc", "a", "b")
    assert sum(weight * value[kept] for kept, weight in weights.items()) == pytest.approx(0.8)


def test_a_plan_names_what_is_kept():
    parts = [part for part, _ in coalitions(_path(), SPACE, GAINS, 2)]
    assert json.loads(parts[0]) == [] and len(json.loads(parts[1])) == 2
    assert units_of('["loss+patience", "script@5"]') == [("loss", "patience"), ("script@5",)]
