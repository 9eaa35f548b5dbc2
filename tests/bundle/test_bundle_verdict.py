"""The verdict on a model: every case, from the numbers that stand in bundle.json."""

import copy

import pytest
from example import ABOUT

from tmelt.bundle.card import write_card
from tmelt.bundle.verdict import verdict

ORACLE = {
    "label": "organism mean (oracle)",
    "kind": "oracle",
    "val_mae": 1.0,
    "test_mae": 1.0,
    "low": None,
    "high": None,
}
RIDGE = {"label": "ridge on composition", "kind": "predictor", "val_mae": 7.0, "test_mae": 7.0, "low": 6.0, "high": 8.0}
MLP = RIDGE | {"label": "small MLP", "test_mae": 9.5}


def bundle(ours, high, *floors, labels=()):
    about = copy.deepcopy(ABOUT)
    about["labels"] = list(labels)
    about["measured"]["winner"] |= {"test_ensemble_mae": ours, "test_high": high}
    about["measured"]["floors"] = list(floors)
    return about


@pytest.mark.parametrize(
    ("about", "kind", "words"),
    [
        (
            bundle(5.0, 6.0, MLP, RIDGE, ORACLE),
            "use",
            "better than ridge on composition (mean absolute error 5.00 against",
        ),
        (bundle(6.5, 7.5, MLP, RIDGE), "care", "not shown to be better than ridge"),
        (bundle(6.5, None, RIDGE), "care", "not shown to be better"),
        (bundle(14.73, 16.0, MLP), "avoid", "small MLP, is as good or better (mean absolute error 14.73 against 9.50"),
        (bundle(7.0, 8.0, RIDGE), "avoid", "Do not use it: a simpler predictor"),
        (bundle(5.0, 6.0, ORACLE), "care", "held against no other predictor"),
        (
            bundle(5.0, 6.0, MLP, labels=ABOUT["labels"]),
            "avoid",
            "for real proteins: synthetic data and untrained backbone.",
        ),
    ],
    ids=["better", "overlap", "no interval", "worse", "equal", "only an oracle", "synthetic"],
)
def test_each_case_has_its_verdict_on_top_of_the_card(about, kind, words):
    found = verdict(about)
    assert found.kind == kind and words in found.text
    quoted = next(line for line in write_card(about).splitlines() if line.startswith(">"))
    assert quoted == f"> **{found.text}**"
