"""Integrity labels: tables of remembered labels are noticed, the project's own scripts are not."""

import pytest

from tmelt.llm.extract import apply_edits
from tmelt.search.integrity import integrity_of, table_signs
from tmelt.strategies.playbook.ideas import read_ideas
from tmelt.study.protocol import REFERENCE

SCRIPT = REFERENCE.read_text(encoding="utf-8")


def test_the_reference_and_the_playbooks_ideas_are_clean():
    scripts = [SCRIPT, *(apply_edits(SCRIPT, idea.edits_for(SCRIPT)) for idea in read_ideas())]
    assert [table_signs(script) for script in scripts] == [[]] * len(scripts)
    assert integrity_of("ok", None, SCRIPT) == "clean"


@pytest.mark.parametrize(
    ("addition", "sign"),
    [
        (f"T = {dict.fromkeys(map(str, range(300)), 55.5)}", "a literal of 300 elements"),
        (f"T = {list(range(300))}", "a literal of 300 elements"),
        ("T = {'MKTAYIAKQRQISF': 71.2}", "strings that look like amino-acid sequences: 1"),
        (f"T = {'x' * 3000!r}", "a string of 3000 characters"),
        (f"T = {bytes(3000)!r}", "a string of 3000 characters"),
        ("from hashlib import sha256", "hashing: sha256"),
        ("import hashlib\nh = hashlib.sha256", "hashing: hashlib, sha256"),
    ],
)
def test_signs_of_a_table_are_named(addition, sign):
    script = f"{SCRIPT}\n{addition}\n"
    assert sign in table_signs(script)
    assert integrity_of("ok", None, script) == "table_like"


def test_the_alphabet_and_docstrings_are_no_sequences():
    assert table_signs("LETTERS = 'ACDEFGHIKLMNPQRSTVWY'\n") == []
    assert table_signs(f'"""{"MKTAYIAKQRQISF " * 500}"""\n') == []


@pytest.mark.parametrize(
    ("status", "reason", "label"),
    [
        ("tamper", "cpu_time", "tampered"),
        ("invalid", "not_row_wise", "not_row_wise"),
        ("timeout", None, "timed_out"),
        ("crash", "predict_timeout", "timed_out"),
        ("refused", None, "clean"),
    ],
)
def test_labels_of_how_runs_ended(status, reason, label):
    assert integrity_of(status, reason, SCRIPT) == label
