"""JSON, code and edits from replies: found exactly, or refused with a reason that a model can act on."""

import json
import time
from contextlib import suppress

import pytest

from tmelt.llm import ReplyError, apply_edits, extract_code, extract_edits, extract_json
from tmelt.llm.extract import Edit, has_edits, resembles_edits, without_edits
from tmelt.report.code import diff_scripts
from tmelt.text.diff import unified_lines

WANTED = {"changes": {"learning_rate": 0.001}, "note": "a } in a string"}
TEXT = '{"changes": {"learning_rate": 0.001}, "note": "a } in a string"}'


@pytest.mark.parametrize(
    "reply",
    [
        TEXT,
        f"\n\n  {TEXT}  \n",
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```",
        f"Here you are:\r\n\r\n```json\r\n{TEXT}\r\n```\r\nGood luck.",
        f"I change one {{knob}}.\n\n```json\n{TEXT}\n```\nand {{more}}",
        f"My proposal is {TEXT} because it helps.",
        f"<think>maybe {{'a': 1}}?\n</think>\n{TEXT}",
        f"the template opened the thought {{1}}</think>{TEXT}",
        f"~~~json\n{TEXT}\n~~~",
        f"```python\nprint({{1}})\n```\n```json\n{TEXT}\n```",
    ],
)
def test_json_is_found(reply):
    assert extract_json(reply) == WANTED


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("I would rather not.", "no JSON object"),
        ('{"a": 1,}', r"line 1, column [89]"),
        ('{\n "a": {"b": 1},\n}', r"line [23], column (15|1):"),  # and not the sound object within
        ("{'a': {\"b\": 1}}", "line 1, column 2"),
        ('{"a": 1', "line 1"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ('{"a": 1} or rather {"a": 2}', "two JSON objects that differ"),
        ('{"a": 1} or {"a": 1} or {"a": true}', "two JSON objects that differ"),
        ('{"a": 1} for {x}: {"a": 2}', "two JSON objects that differ"),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```', r"2 JSON blocks that differ \(lines 1, 4\)"),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 1.0}\n```', "2 JSON blocks that differ"),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 1,}\n```', "2 JSON blocks that differ"),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 1} b\n```', "2 JSON blocks that differ"),
        ('```json\n{"a": 1}', "not closed"),
        ('```json\n{"a": 1} # comment\n```', "text after"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "thousands of digits"),
        ('{"a": {"\\ud83d": 1}}', "half a character"),
    ],
)
def test_json_is_refused(reply, reason):
    with pytest.raises(ReplyError, match=reason):
        extract_json(reply)


@pytest.mark.parametrize(
    "reply",
    [
        f"```json\n{TEXT}\n```\nonce more:\n```json\n{TEXT}\n```",
        f"```json\n{TEXT}\n```\nonce more:\n```json\n\n{json.dumps(WANTED, indent=3)}\n```",
        f"{TEXT}\nthat is, {TEXT}",
        f"{TEXT} with {{x}} and {{{{ left as they are",
    ],
)
def test_what_is_only_repeated_counts_once(reply):
    assert extract_json(reply) == WANTED


def test_a_script_that_is_only_repeated_counts_once():
    assert extract_code("```python\na = 1\n```\nAgain:\n```python\na = 1\n```") == "a = 1\n"


@pytest.mark.parametrize(
    "work",
    [
        lambda: extract_json(f"{TEXT} {'{' * 100_000}"),
        lambda: extract_json(json.dumps({f"k{number}": 0 for number in range(50_000)})),
        lambda: apply_edits("ab" * 50_000 + "\nx\n" * 500, [Edit("ba" * 50_000 + "\n", "")]),
        lambda: apply_edits("".join(f"{'xy' * 90}{n % 7}\n" for n in range(500)), [Edit("yx" * 95 + "\n" * 9, "")]),
        lambda: list(unified_lines(*(["a\n", "b\n"] * 4000, ["b\n", "b\n", "a\n"] * 3000), "a", "b")),
        lambda: diff_scripts("a\nb\n" * 4000, "b\nb\na\n" * 3000, 100),
    ],
)
def test_no_reply_takes_long(work):
    """Each took tens of seconds in its first form."""
    started = time.process_time()
    with suppress(ReplyError):
        work()
    assert time.process_time() - started < 4


def test_code_is_found_as_written():
    script = 'import json\n\n\ndef fit():\n    """```inline``` stays."""\n    return "\\n"\n'
    assert extract_code(f"Two changes.\n\n```python\n{script}```\nDone.") == script
    assert extract_code(f"```\n{script}```") == script
    assert extract_code(f"```json\n{{}}\n```\n```py\n{script}```") == script
    assert extract_code(f"````python\n{script}```\nx\n````") == f"{script}```\nx\n"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("def fit(): pass", "no ```python block"),
        ("```python\na = 1\n```\n```python\nb = 2\n```", r"2 code blocks \(lines 1, 4\)"),
        ("```python\na = 1\n", "line 1.*not closed"),
        ("```python\n\n```", "empty"),
    ],
)
def test_code_is_refused(reply, reason):
    with pytest.raises(ReplyError, match=reason):
        extract_code(reply)


SOURCE = "a = 1\nb = 2\n\n\ndef fit(x):\n    return x\n\n\ndef predict(x):\n    return x\n"


def block(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


def test_edits_are_applied_in_order():
    first, second = block("b = 2\n", "b = 3\nc = 4\n"), block("c = 4\n", "")
    reply = f"First:\n{first}then\n```python\n{second}```\n"
    assert has_edits(reply)
    edits = extract_edits(reply)
    assert edits == [Edit("b = 2\n", "b = 3\nc = 4\n"), Edit("c = 4\n", "")]
    assert apply_edits(SOURCE, edits) == SOURCE.replace("b = 2", "b = 3")


def test_edits_match_whole_lines_only():
    assert apply_edits("ab\nb\n", [Edit("b\n", "c\n")]) == "ab\nc\n"
    assert apply_edits("a\nb", [Edit("b\n", "c\n")]) == "a\nc\n"
    assert apply_edits("a\nb\n", [Edit("a\nb\n", "")]).strip() == ""


@pytest.mark.parametrize("indent", ["  ", "    ", "\t"])
def test_an_edit_may_be_indented_as_a_whole(indent):
    body = block("def predict(x):\n    return x\n", "def predict(x):\n\n    return 2 * x\n")
    indented = "".join(f"{indent}{line}" if line.strip() else line for line in body.splitlines(keepends=True))
    expected = SOURCE.replace("predict(x):\n    return x", "predict(x):\n\n    return 2 * x")
    for text in (indented, f"1. First:\n\n{indented}"):
        assert has_edits(text)
        assert apply_edits(SOURCE, extract_edits(text)) == expected


def test_only_the_markers_of_an_edit_may_be_indented():
    text = "    <<<<<<< SEARCH\nb = 2\n    =======\nb = 3\n    >>>>>>> REPLACE"
    assert apply_edits(SOURCE, extract_edits(text)) == SOURCE.replace("b = 2", "b = 3")
    inside = "def fit(x):\n    y = x\n    return y\n"  # its own indentation, and not the reply's
    text = "    <<<<<<< SEARCH\n    y = x\n    =======\n    y = 2 * x\n    >>>>>>> REPLACE"
    assert apply_edits(inside, extract_edits(text)) == inside.replace("y = x", "y = 2 * x")


def test_an_indented_edit_that_may_mean_two_places_is_refused():
    text = "    <<<<<<< SEARCH\n    y = x\n    =======\n    y = 2\n    >>>>>>> REPLACE"
    with pytest.raises(ReplyError, match="2 times"):
        apply_edits("y = x\ndef fit(x):\n    y = x\n", extract_edits(text))


def test_edits_are_taken_out_of_a_reply():
    edit = block("a\n", "b\n")
    assert without_edits(f"before\n{edit}after\n    <<<<<<< SEARCH\nopen") == "before\nafter"


@pytest.mark.parametrize(
    ("reply", "like"),
    [
        ("<<<<<<< ORIGINAL\na\n=======\nb\n>>>>>>> UPDATED", True),
        ("<<< SEARCH\na\n===\nb\n>>> REPLACE", True),
        ("*** Begin Patch\n*** Update File: train.py", True),
        ("--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,2 @@\n-a\n+b", True),
        ("> <<<<<<< search", True),
        ("I search the docs and replace a knob: a << b, x >> y.\n\n---\n=======", False),
    ],
)
def test_what_resembles_an_edit_is_noticed(reply, like):
    assert resembles_edits(reply) == like


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("no edits", "no <<<<<<< SEARCH"),
        ("<<<<<<< SEARCH\na\n=======\nb\n", "line 1 does not end"),
        ("<<<<<<< SEARCH\na\n>>>>>>> REPLACE\n", "no ======="),
        (">>>>>>> REPLACE\n", "without"),
        ("<<<<<<< SEARCH\n<<<<<<< SEARCH\n", "inside"),
        (block("a\n=======\nb\n", "c\n"), "second ======="),
        (block("", "c\n"), "nothing to search"),
        (block("\n\n", "c\n"), "nothing to search"),
    ],
)
def test_edits_are_refused(reply, reason):
    with pytest.raises(ReplyError, match=reason):
        extract_edits(reply)


def test_an_edit_that_does_not_fit_exactly_once_is_refused():
    with pytest.raises(ReplyError, match=r"edit 1: .* 2 times \(lines 6, 10\)"):
        apply_edits(SOURCE, [Edit("    return x\n", "    return 2 * x\n")])
    with pytest.raises(
        ReplyError, match=r"edit 2: .*not in the script(.|\n)*nearest are\n5: def fit\(x\):\n6:     return x"
    ):
        apply_edits(SOURCE, [Edit("a = 1\n", "a = 2\n"), Edit("def fit(y):\n    return x\n", "")])
    with pytest.raises(ReplyError, match=r"exactly as written$"):
        apply_edits(SOURCE, [Edit("@@@ ### $$$\n", "")])
    with pytest.raises(ReplyError, match="nearest"):  # trailing blanks are a difference, too
        apply_edits(SOURCE, [Edit("a = 1 \n", "")])
