"""The table of faults names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def test_every_test_that_the_table_names_exists():
    named = set(re.findall(r"`(test_\w+|…\w+)(?:…|`)", (TESTS / "chaos" / "README.md").read_text()))
    there = {
        name for file in TESTS.rglob("test_*.py") for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    there |= {file.stem for file in TESTS.rglob("test_*.py")}
    assert len(named) > 15
    for name in named:
        assert any(name.strip("…") in known for known in there), name
