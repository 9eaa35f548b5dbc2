"""Grid search: every combination once, in an order of its own, and a clear end."""

import pytest
from simulation import Landscape, context_of, simulate

from tmelt.errors import InputError
from tmelt.search.knobs import Space
from tmelt.storage.files import canonical_json
from tmelt.strategies import propose
from tmelt.strategies.check_options import check_options
from tmelt.strategies.grid import grid_points

LEVELS = {"pooling": ["mean", "attention"], "loss": ["mse", "huber"], "huber_delta": [1.0, 3.0]}


def test_every_combination_is_tried_once_and_then_the_search_says_so():
    searched = simulate("grid", 20, options={"levels": LEVELS})
    tried = {canonical_json(trial.knobs) for trial in searched}
    # huber_delta counts only with the Huber loss: 2 × (1 + 2) combinations, of which trial 0 is one.
    assert len(tried) == len(searched) == 6
    others = Space().defaults()
    for trial in searched[1:]:
        assert trial.origin == "grid" and trial.parent == 0
        assert {name for name in trial.knobs if trial.knobs[name] != others.get(name)} <= LEVELS.keys()
    assert "of 6 of the grid" in searched[1].proposal["rationale"]
    end = propose(searched, context_of("grid", 6, options={"levels": LEVELS}))
    assert (end.status, end.script) == ("stopped", context_of("grid", 6).reference)
    assert end.error.startswith("all 6 points of the grid have been tried; add levels")


def test_failed_points_are_not_tried_again():
    searched = simulate("grid", 20, options={"levels": LEVELS}, landscape=Landscape(Space(), failing=1.0))
    assert len({canonical_json(trial.knobs) for trial in searched}) == len(searched) == 6


def test_searches_have_orders_of_their_own():
    levels = {"learning_rate": [1e-5, 1e-4, 1e-3], "width": [64, 128, 256], "depth": [1, 2]}
    orders = {
        tuple(canonical_json(trial.knobs) for trial in simulate("grid", 18, options={"levels": levels}, trajectory=n))
        for n in range(3)
    }
    assert len(orders) == 3 and len({frozenset(order) for order in orders}) == 1


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (None, "levels: Field required"),
        ({}, "levels: .*at least 1"),
        ({"width": []}, "levels: width: no level"),
        ({"widht": [64]}, "levels: widht: no such knob"),
        ({"width": [65]}, "levels: width=65: one of 64, 128"),
        ({"momentum": [0.5, 0.9]}, "levels: momentum counts only if optimiser is sgd; add optimiser to the grid"),
        ({"learning_rate": [1e-4 + i * 1e-8 for i in range(400)], "dropout": [i / 1000 for i in range(400)]},
         "levels: 160000 combinations"),
    ],
)  # fmt: skip
def test_impossible_grids_are_refused_before_any_job(levels, message, config):
    options = {} if levels is None else {"levels": levels}
    with pytest.raises(InputError, match=rf"extent\.strategies\.mine\.{message}") as caught:
        check_options("mine", "grid", options, config)
    assert "\n" not in str(caught.value)


def test_the_study_s_space_is_what_counts(config):
    check_options("mine", "grid", {"levels": {"width": [64]}}, config)
    narrow = config.model_copy(update={"design": config.design.model_copy(update={"space": {"width": {"fixed": 256}}})})
    with pytest.raises(InputError, match=r"levels: width=64: one of 256"):
        check_options("mine", "grid", {"levels": {"width": [64]}}, narrow)


def test_levels_keep_their_types():
    (point,) = grid_points(Space(), {"depth": [2], "learning_rate": [0.001]}, "mine")
    assert type(point["depth"]) is int and type(point["learning_rate"]) is float


@pytest.fixture
def config():
    from tmelt.study.config import parse_config

    strategies = {"mine": {"kind": "random"}}
    return parse_config({"study": "a", "design": {"data": {"name": "synthetic"}}, "extent": {"strategies": strategies}})
