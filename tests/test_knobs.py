"""The knob table and the spaces made from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmelt.errors import InputError
from tmelt.search.knobs import CATEGORIES, KNOBS, Knob, KnobError, Space, knobs_from_table, space_of_config

SPACE = Space()


def test_the_published_baseline_is_the_default():
    defaults = SPACE.defaults()
    assert (defaults["pooling"], defaults["patience"], defaults["loss"]) == ("mean", 5, "mse")


def test_conditional_knobs_are_there_only_under_their_condition():
    assert "huber_delta" not in SPACE.defaults()
    assert SPACE.complete({"loss": "huber"})["huber_delta"] == 3.0
    assert "huber_delta" not in SPACE.complete({"loss": "mae", "huber_delta": 2.0})
    assert {"beta1", "momentum"} & SPACE.complete({"optimiser": "sgd"}).keys() == {"momentum"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 64}, "widht: no such knob"),
        ({"width": 65}, "width=65: one of 64, 128, 256, 384"),
        ({"depth": 1.5}, "a whole number"),
        ({"depth": True}, "a finite number"),
        ({"dropout": float("nan")}, "a finite number"),
        ({"dropout": "0.1"}, "a finite number"),
        ({"learning_rate": 1.0}, "outside 1e-05"),
        ({"huber_delta": 99.0}, "huber_delta=99.0"),  # illegal although inactive
    ],
)
def test_illegal_values_are_named(values, message):
    with pytest.raises(KnobError, match=message):
        SPACE.complete(values)


def test_a_table_survives_its_journey_through_json():
    assert knobs_from_table(SPACE.table()) == SPACE.knobs


def test_a_config_adapts_ranges_and_a_default_follows():
    space = space_of_config({"width": {"choices": [32, 64]}, "epochs": {"high": 12, "low": 4}})
    assert space.defaults()["width"] == 32
    assert space.defaults()["epochs"] == 12
    assert space_of_config({"depth": {"fixed": 2}})["depth"].choices == (2,)
    with pytest.raises(InputError, match=r"design\.space: wdith: no such knob"):
        space_of_config({"wdith": {"default": 1}})
    with pytest.raises(InputError, match="unknown field 'hihg'"):
        space_of_config({"epochs": {"hihg": 12}})


@pytest.mark.parametrize(
    ("name", "change", "wrong"),
    [
        ("width", {"choices": 64}, "width: low and high are numbers, choices a list"),
        ("width", {"low": 32, "high": 64}, "width: choices are for a choice"),
        ("depth", {"choices": [1, 2]}, "depth: choices are for a choice"),
        ("epochs", {"low": "4"}, "epochs: "),
        ("depth", {"low": 1.5}, "depth: needs whole"),
        ("epochs", {"high": 10**400}, "epochs: "),
        ("pooling", {"fixed": ["mean"]}, "pooling: a choice is"),
        ("learning_rate", {"log": "yes"}, "learning_rate: .* true or false"),
    ],
)
def test_a_change_that_does_not_fit_its_knob_is_refused_by_name(name, change, wrong):
    with pytest.raises(InputError, match=rf"design\.space: {wrong}"):
        space_of_config({name: change})


def test_a_subspace_may_only_narrow():
    narrow = SPACE.subspace(
        {"learning_rate": {"low": 1e-4, "high": 1e-3}, "pooling": {"choices": ["mean", "attention"]}}
    )
    assert narrow["learning_rate"].high == 1e-3
    with pytest.raises(KnobError, match="outside"):
        SPACE.subspace({"learning_rate": {"high": 1.0}})
    with pytest.raises(KnobError, match="one of"):
        SPACE.subspace({"pooling": {"choices": ["mean", "median"]}})


def test_scripts_may_declare_knobs():
    declared = knobs_from_table(
        [{"name": "ema", "kind": "float", "low": 0.9, "high": 0.999, "default": 0.99, "meaning": "decay"}]
    )
    assert SPACE.extended(declared).complete({"ema": 0.95})["ema"] == 0.95
    with pytest.raises(KnobError, match="two knobs"):
        SPACE.extended([KNOBS[0]])
    with pytest.raises(KnobError, match="ema"):
        knobs_from_table([{"name": "ema", "kind": "float", "decay": 1}])


@given(st.floats(0.5, 15.0), st.sampled_from(["mse", "huber", "mae"]))
def test_completing_twice_changes_nothing(delta, loss):
    once = SPACE.complete({"loss": loss, "huber_delta": delta})
    assert SPACE.complete(once) == once


def test_a_range_must_be_one():
    with pytest.raises(KnobError, match="low < high"):
        Knob("x", "float", 1.0, "", 1.0, 1.0)
    with pytest.raises(KnobError, match="finite difference"):
        Knob("x", "float", 1.0, "", -1.7e308, 1.7e308)
    with pytest.raises(KnobError, match="above 0"):
        Knob("x", "float", 0.5, "", 0.0, 1.0, log=True)


def test_every_knob_of_the_reference_has_a_category():
    assert {knob.category for knob in KNOBS} == set(CATEGORIES)
    assert next(knob for knob in KNOBS if knob.name == "crop").category == "data"
