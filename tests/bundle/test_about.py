"""Schema of bundle.json: invalid content is refused in one line, also where the hashes match it."""

import copy

import pytest
from example import ABOUT

from tmelt.bundle.about import check_about
from tmelt.bundle.card import write_card
from tmelt.errors import InputError

WHOLE = ABOUT | {"format": 1, "sha256": "3" * 64, "members": {"train.py": "4" * 64}}


def changed(path, value):
    """The example with another value at a dotted path; `...` takes the key away."""
    about = copy.deepcopy(WHOLE)
    *above, last = path.split(".")
    part = about
    for key in above:
        part = part[int(key)] if isinstance(part, list) else part[key]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return about


def test_the_example_is_sound():
    check_about(WHOLE, "b.zip")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("study", "../../x"),
        ("study", "a\x1b[2Jb"),
        ("title", "x" * 2001),
        ("title", ["x"]),
        ("labels", []),
        ("labels", ["nothing to see\x1b[8m"]),
        ("seeds", ["../../../tmp/x"]),
        ("seeds", [-1]),
        ("seeds", [True]),
        ("seeds", [1.5]),
        ("seeds", []),
        ("seeds", [7, 7]),
        ("seeds", list(range(1001))),
        ("knobs", {"a b": 1}),
        ("knobs", {"a": float("inf")}),
        ("knobs", {"a": {"b": 1}}),
        ("knobs", {"a": "x" * 1001}),
        ("backbone.name", "../../etc"),
        ("backbone.weights", "/etc/passwd"),
        ("backbone.weights", "download"),
        ("backbone.layer", -1),
        ("backbone.layer", "4"),
        ("backbone.tokens", 10**12),
        ("backbone.width", 0),
        ("backbone.untrained", False),
        ("backbone.more", 1),
        ("harness.budget.predict_s", 1e9),
        ("harness.budget.predict_s", float("nan")),
        ("harness.budget.memory_mb", 10**12),
        ("harness.budget.more", 1),
        ("harness.pool_residues", -1),
        ("harness.threads", 10**9),
        ("harness.device", "tpu"),
        ("training.tm", [90.0, 30.0]),
        ("training.tm", [30.0]),
        ("training.tm", [float("nan"), 90.0]),
        ("training.length", [1, 2, 3]),
        ("training.nonstandard", "run"),
        ("training.proteins", {"fit": 1, "more": 2}),
        ("measured.winner.test_mae", None),
        ("measured.winner.test_mae", 1e308),
        ("measured.coverage", [{"level": 2.0, "half_width": 1.0, "test_coverage": 0.5}]),
        ("winner.searches", [{}]),
        ("winner.script_sha256", "x"),
        ("members", {"train.py": 1}),
        ("sha256", None),
        ("study", ...),
        ("harness", ...),
        ("backbone.released", ...),
        ("more", 1),
    ],
)
def test_a_value_beyond_its_bounds_is_named(path, value):
    with pytest.raises(InputError) as error:
        check_about(changed(path, value), "b.zip")
    said = str(error.value)
    assert said.startswith("b.zip: bundle.json: ") and said.isprintable() and len(said) < 500
    assert path.split(".")[0] in said or "labels" in said


@pytest.mark.parametrize(
    ("changes", "said", "command"),
    [
        ({}, "untrained tiny embeddings (layer 4, 64 features per residue)", "bundle.zip --output"),
        (
            {"name": "imported", "weights": "imported", "file": "x.h5", "untrained": False, "per_protein": True},
            "embeddings that were computed elsewhere (`x.h5`, 64 features per protein)",
            "bundle.zip --embeddings embeddings.h5 --output",
        ),
    ],
)
def test_a_card_says_where_embeddings_come_from(changes, said, command):
    card = write_card(ABOUT | {"backbone": ABOUT["backbone"] | changes})
    assert said in card and command in card
