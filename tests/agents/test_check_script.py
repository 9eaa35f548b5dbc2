"""What can be said of a script without running it."""

import re
from importlib.resources import files

import pytest
from searching import SCRIPT

from tmelt.search.knobs import Space, knobs_from_table
from tmelt.strategies.check_script import ScriptError, check_script
from tmelt.strategies.ua import CONTRACT

FIT = "def fit(task, knobs, checkpoint):\n    pass\n\n\n"
PREDICT = "def predict(task, checkpoint):\n    pass\n"


def declaring(**fields):
    """A script that declares one knob, with these fields (as source text) other than legal ones."""
    legal = {"name": "'a'", "kind": "'float'", "low": 0, "high": 1, "default": 0.5, "meaning": "''"}
    row = ", ".join(f"{key!r}: {value}" for key, value in (legal | fields).items() if value is not None)
    return f"KNOBS = [{{{row}}}]\n\n\n{FIT}{PREDICT}"


def test_a_legal_declaration_passes():
    assert [row["name"] for row in check_script(declaring(), Space())] == ["a"]


def test_the_reference_script_passes_and_declares_nothing():
    assert check_script(SCRIPT, Space()) == ()


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        ("def fit(:\n", "not Python: line 1"),
        (PREDICT, "no function fit"),
        (FIT, "no function predict"),
        (FIT + "class A:\n    def predict(self, task, checkpoint): ...\n", "no function predict"),
        (FIT + "def predict(task):\n    pass\n", "predict takes other parameters"),
        (FIT + "def predict(task, checkpoint, extra):\n    pass\n", "predict takes other parameters"),
        (FIT + "def predict(task, checkpoint, *, extra):\n    pass\n", "predict takes other parameters"),
        (FIT + "async def predict(task, checkpoint):\n    pass\n", "async"),
        (FIT + PREDICT + "#" * 100_000, "bytes"),
        (FIT + PREDICT + "x = '\ud800'\n", "UTF-8"),
        (FIT + PREDICT + "\0", "not Python"),
        ("(" * 10_000 + FIT + PREDICT, "not Python"),
        (FIT + PREDICT + "KNOBS = [make()]\n", "literal"),
        (FIT + PREDICT + "KNOBS = {'name': 'a'}\n", "list of dicts"),
        (FIT + PREDICT + "KNOBS = []\nKNOBS = []\n", "twice"),
        (f"KNOBS = {[{'name': f'k{i}'} for i in range(51)]}\n{FIT}{PREDICT}", "at most 50"),
        (declaring(default=2), "a=2"),
        (declaring(high="1e999"), "KNOBS"),
        (declaring(name="'depth'"), "two knobs have one name"),
        (declaring(name="'a b'"), "name"),
        (declaring(colour="''"), "colour"),
        (declaring(meaning=None), "meaning"),
        (declaring(kind="'choice'", choices="[[1]]", default="[1]"), "KNOBS"),
        (declaring(when="['nothing', [1]]"), "nothing"),
        (declaring(when="['loss']"), "when"),
        (declaring(when="{'loss': ['mse']}"), "when"),
        (declaring(when="['loss', [[1]]]"), "when"),
        (declaring(kind="'number'"), "one of int, float, choice"),
        (declaring(meaning="5"), "texts"),
        (declaring(high="9" * 400), "finite"),
        (declaring(low="False", high="True"), "finite"),
        (declaring(kind="'int'", low="0.5", high="3.5", default="1"), "whole"),
        (declaring(low=None, high=None, kind="'choice'", choices="[(1, 2), (3, 4)]", default="(1, 2)"), "a choice is"),
        (declaring(low=None, high=None, kind="'choice'", choices="[None, 1]", default="None"), "a choice is"),
        (declaring(low=None, high=None, kind="'choice'", choices="'ab'", default="'a'"), "choices is a list"),
        (declaring(low=None, high=None, kind="'choice'", choices=r"['\ud800', 'a']", default="'a'"), "a choice is"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_candidate_is_refused_with_a_reason(script, wrong):
    with pytest.raises(ScriptError, match=wrong):
        check_script(script, Space())


def test_further_optional_parameters_are_allowed():
    script = "def fit(task, knobs, checkpoint, verbose=False):\n    pass\n\n\ndef predict(*arguments):\n    pass\n"
    assert check_script(script, Space()) == ()


def test_declared_knobs_come_back_as_rows_that_make_the_same_knobs():
    rows = [
        {"name": "ema", "kind": "float", "low": 0.9, "high": 0.999, "default": 0.98, "meaning": "decay"},
        {
            "name": "mode",
            "kind": "choice",
            "choices": ["a", "b"],
            "default": "a",
            "meaning": "m",
            "when": ["loss", ["mse"]],
        },
    ]
    declared = check_script(f"KNOBS = {rows!r}\n\n\n{FIT}{PREDICT}", Space())
    assert knobs_from_table(declared) == knobs_from_table(rows)
    assert check_script(f"KNOBS: list = {rows!r}\n\n\n{FIT}{PREDICT}", Space()) == declared


def test_the_contract_s_example_of_declared_knobs_is_legal():
    """One of each kind, with a logarithmic range and a condition: how they are written is told by example."""
    text = (files("tmelt") / CONTRACT).read_text(encoding="utf-8")
    example = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "KNOBS" in block)
    knobs = knobs_from_table(check_script(f"{example}\n{SCRIPT}", Space()))
    assert {knob.kind for knob in knobs} == {"float", "int", "choice"}
    assert any(knob.log for knob in knobs) and any(knob.when for knob in knobs)
    assert len(Space().extended(knobs)) == len(Space()) + len(knobs)
