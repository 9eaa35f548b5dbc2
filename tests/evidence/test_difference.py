"""In-space and out-of-space changes as facts of (script, knobs)."""

from simulated_study import AVERAGE, COMPOSITION, REFERENCE

from tmelt.evidence.difference import changed_parts, compare, revert_change, script_identity
from tmelt.search.knobs import Space

NAMES = [knob.name for knob in Space()]
KNOBS = Space().defaults()
WITH_COMPOSITION = REFERENCE.replace("def loss_function", COMPOSITION + "def loss_function")


def test_knobs_alone_are_in_space():
    change = compare(REFERENCE, REFERENCE, KNOBS, KNOBS | {"loss": "mae", "learning_rate": 1e-3}, NAMES)
    assert change.kind == "in_space"
    assert dict(change.knobs) == {"loss": ["mse", "mae"], "learning_rate": [3e-4, 1e-3]}
    assert change.categories == ("optimisation", "objective")
    assert change.diff == ""


def test_a_new_function_is_out_of_space_and_both_are_mixed():
    change = compare(REFERENCE, WITH_COMPOSITION, KNOBS, KNOBS, NAMES)
    assert change.kind == "out_of_space"
    assert change.functions == ("(module)", "residue_composition")
    assert change.categories == ("data",)
    assert compare(REFERENCE, WITH_COMPOSITION, KNOBS, KNOBS | {"loss": "mae"}, NAMES).kind == "mixed"


def test_comments_docstrings_and_layout_change_nothing():
    other = REFERENCE.replace('"""Mean embedding per protein."""', '"""Other words."""').replace(
        "HIDDEN = 64", "# why\nHIDDEN = (64)"
    )
    change = compare(REFERENCE, other, KNOBS, KNOBS, NAMES)
    assert change.kind == "none" and change.lines_added > 0
    assert script_identity(other) == script_identity(REFERENCE) != script_identity(WITH_COMPOSITION)


def test_a_knob_of_the_scripts_own_is_out_of_space():
    change = compare(REFERENCE, REFERENCE, KNOBS | {"ema": 0.9}, KNOBS | {"ema": 0.99}, NAMES)
    assert change.kind == "out_of_space" and dict(change.own_knobs) == {"ema": [0.9, 0.99]}


def test_a_changed_method_is_named_with_its_class_and_broken_code_is_a_difference():
    one = "class Head:\n    def forward(self):\n        return 1\n    def other(self):\n        return 2\n"
    assert changed_parts(one, one.replace("return 1", "return 3")) == ["Head.forward"]
    assert changed_parts(one, "def broken(:") and not changed_parts("def broken(:", "def broken(:")


def test_a_change_is_taken_back_from_a_later_script():
    later = WITH_COMPOSITION.replace("def fit(", AVERAGE + "def fit(")
    only_average = REFERENCE.replace("def fit(", AVERAGE + "def fit(")
    assert revert_change(later, REFERENCE, WITH_COMPOSITION) == only_average
    assert revert_change(later, WITH_COMPOSITION, later) == WITH_COMPOSITION


def test_deleted_lines_come_back():
    without = REFERENCE.replace("HIDDEN = 64\n", "")
    assert revert_change(without.replace("[0.0]", "[1.0]"), REFERENCE, without) == REFERENCE.replace("[0.0]", "[1.0]")


def test_a_change_that_was_changed_again_cannot_be_taken_back_alone():
    wider = REFERENCE.replace("HIDDEN = 64", "HIDDEN = 128")
    widest = wider.replace("HIDDEN = 128", "HIDDEN = 256")
    assert revert_change(widest, REFERENCE, wider) is None
