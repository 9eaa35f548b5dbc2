"""Command lines of scripts: every value arrives as it was."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmelt.jobs.command_line import script_command

CASES = {
    "a value": ({"count": 3}, ["--count", "3"]),
    "a path": ({"trials": Path("a b/t.parquet")}, ["--trials", "a b/t.parquet"]),
    "several": ({"seeds": [0, 1]}, ["--seeds", "0", "1"]),
    "none of several": ({"history": []}, ["--history"]),
    "absent": ({"config": None}, []),
    "true": ({"every_search": True}, ["--every-search"]),
    "false": ({"every_search": False}, ["--no-every-search"]),
    "an empty text": ({"name": ""}, ["--name", ""]),
}


@pytest.mark.parametrize("case", CASES)
def test_options_are_named_after_their_values(case):
    values, words = CASES[case]
    assert shlex.split(script_command("s/x", **values)) == ["python", "s/x.py", *words]


def test_words_without_a_name_come_first():
    assert script_command("make_tables", "spread", winners="w") == "python make_tables.py spread --winners w"


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"))))
def test_a_shell_reads_any_text_as_it_is(texts):
    assert shlex.split(script_command("x", texts=texts)) == ["python", "x.py", "--texts", *texts]
