"""Programs: Markdown that people edit, whose mistakes are found at once."""

import pytest

from tmelt.errors import InputError
from tmelt.strategies.program import fill_program, program_path
from tmelt.strategies.registry import agent_kinds


def write(folder, text):
    path = folder / "ra.md"
    path.write_text(text)
    return path


def test_every_agent_has_a_program():
    for kind in agent_kinds() - {"placebo"}:  # it is told what the agent that it deceives is told
        assert program_path(kind).read_text(encoding="utf-8").startswith("# ")


def test_placeholders_and_sections_are_filled_once(tmp_path):
    path = write(tmp_path, "system {{a}}\n<!-- user -->\n{{#b}}\nSay: {{b}}\n{{/b}}\n{{c}}\n")
    system, user = fill_program(path, {"a": "{{b}}", "b": "words", "c": "{{#a}}x{{/a}}"})
    assert system == "system {{b}}\n"
    assert user == "Say: words\n\n{{#a}}x{{/a}}\n"
    assert "Say" not in fill_program(path, {"a": "", "b": "", "c": ""})[1]


def test_a_section_may_stand_for_what_is_missing(tmp_path):
    path = write(tmp_path, "s\n<!-- user -->\n{{^b}}\nnone\n{{/b}}\n{{#b}}\nsome: {{b}}\n{{/b}}\n")
    assert fill_program(path, {"b": ""})[1] == "none\n"
    assert fill_program(path, {"b": "x"})[1] == "some: x\n"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{{a}} {{b}}\n<!-- user -->\nx", "unknown placeholder {{b}}"),
        ("x\n<!-- user -->\nx", "placeholder {{a}} is missing"),
        ("{{a}} only", "<!-- user -->"),
    ],
)
def test_a_spoilt_program_is_refused(tmp_path, text, wrong):
    with pytest.raises(InputError) as caught:
        fill_program(write(tmp_path, text), {"a": "1"})
    assert wrong in str(caught.value) and "ra.md" in str(caught.value)
