"""The unleashed agent: scripts whole or by edits, exactly applied or refused, and repaired when they crash."""

import json

import pytest
from searching import SCRIPT, context_for, crash, prompt_of, search, step

from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Space
from tmelt.search.notes import Repair
from tmelt.strategies import propose
from tmelt.strategies.ua import CONTRACT

HEADER = {"hypothesis": "because", "rationale": "trial 0"}
SHORT = "def fit(task, knobs, checkpoint):\n    return None\n\n\ndef predict(task, checkpoint):\n    return []\n"
EDIT = "<<<<<<< SEARCH\n        layers = []\n=======\n        layers = []  # of the head\n>>>>>>> REPLACE\n"


def header(**fields):
    return f"```json\n{json.dumps(HEADER | fields)}\n```\n"


def whole(script):
    return f"\n```python\n{script}```\n"


def thought(draft):
    return f"<think>\nPerhaps\n{draft}or rather not.\n</think>\n\n"


@pytest.fixture
def history(tmp_path) -> History:
    first = Proposal(Space().defaults(), SCRIPT, origin="baseline")
    return step(History(), first, tmp_path)


def ask(history, folder, *replies, **rest):
    context = context_for("ua", folder, history, replies=replies, **rest)
    return propose(history, context), context


def test_a_whole_script_is_taken_as_written(tmp_path, history):
    proposal, context = ask(history, tmp_path, header() + whole(SHORT))
    assert proposal.status == "proposed" and proposal.script == SHORT
    assert proposal.knobs == Space().defaults()
    assert SCRIPT.rstrip() in prompt_of(context)


def test_the_prompt_holds_the_contract(tmp_path, history):
    from importlib.resources import files

    _, context = ask(history, tmp_path, header() + whole(SHORT))
    assert (files("tmelt") / CONTRACT).read_text().partition("\n")[2].strip() in prompt_of(context)


@pytest.mark.parametrize("wrapped", [EDIT, f"```\n{EDIT}```\n", f"```python\n{EDIT}```\n"])
def test_edits_are_applied_exactly(tmp_path, history, wrapped):
    proposal, _ = ask(history, tmp_path, header() + wrapped)
    assert proposal.script == SCRIPT.replace("        layers = []\n", "        layers = []  # of the head\n")


def test_knobs_alone_may_change(tmp_path, history):
    proposal, _ = ask(history, tmp_path, header(changes={"depth": 3}))
    assert proposal.script == SCRIPT and proposal.knobs["depth"] == 3


@pytest.mark.parametrize("draft", [whole(SHORT), EDIT])
def test_a_draft_in_a_thought_is_no_script(tmp_path, history, draft):
    knobs, _ = ask(history, tmp_path, thought(draft) + header(changes={"depth": 3}))
    assert knobs.script == SCRIPT and knobs.knobs["depth"] == 3
    edited, _ = ask(history, tmp_path / "edited", thought(draft) + header() + EDIT)
    assert "# of the head" in edited.script


def test_any_line_end_becomes_one_that_a_file_keeps(tmp_path, history):
    proposal, _ = ask(history, tmp_path, header() + whole(SHORT.replace("None\n\n\n", "None\r\n\r\r")))
    assert proposal.script == SHORT
    proposal.write(tmp_path / "i1")
    assert Proposal.read(tmp_path / "i1").script == SHORT


def test_declared_knobs_are_complete_and_can_be_set(tmp_path, history):
    row = {"name": "ema_decay", "kind": "float", "low": 0.9, "high": 0.999, "default": 0.98, "meaning": "decay"}
    script = f"KNOBS = [{row}]\n\n\n{SHORT}"
    proposal, _ = ask(history, tmp_path, header() + whole(script))
    assert proposal.knobs["ema_decay"] == 0.98 and proposal.declared_knobs[0]["name"] == "ema_decay"
    proposal.write(tmp_path / "i1")
    history = step(history, proposal, tmp_path)
    proposal, _ = ask(history, tmp_path, header(changes={"ema_decay": 0.95}) + whole(script + "# new\n"))
    assert proposal.knobs["ema_decay"] == 0.95


def test_an_indented_edit_is_applied(tmp_path, history):
    indented = "".join(f"    {line}" for line in EDIT.splitlines(keepends=True))
    proposal, context = ask(history, tmp_path, header() + indented)
    assert "# of the head" in proposal.script and len(context.conversation._given.prompts) == 1


def test_an_unchanged_knob_does_not_void_a_script(tmp_path, history):
    same = {"dropout": history.incumbent.knobs["dropout"]}
    proposal, context = ask(history, tmp_path, header(changes=same) + EDIT)
    assert "# of the head" in proposal.script and len(context.conversation._given.prompts) == 1


def test_the_prompt_shows_the_markers_as_they_are_to_be_written(tmp_path, history):
    _, context = ask(history, tmp_path, header() + EDIT)
    assert "\n```\n<<<<<<< SEARCH\n" in prompt_of(context)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (header() + "*** Begin Patch\n-a\n+b\n*** End Patch", "lines of an edit, but no"),
        (header(changes={"depth": 3}) + "<<<<<<< ORIGINAL\na\n=======\nb\n>>>>>>> UPDATED\n", "lines of an edit"),
        (header(), "neither the script nor a knob would change"),
        (header() + whole(SCRIPT), "neither the script nor a knob would change"),
        (header() + whole("x = 1\n"), "no function fit"),
        (header() + whole("def fit(:\n"), "not Python"),
        (header() + whole(SHORT) + whole(SHORT + "\n\nEXTRA = 1\n"), "2 code blocks"),
        (header() + EDIT + whole(SHORT), "both a whole script and SEARCH/REPLACE edits"),
        (header() + EDIT.replace("layers = []", "layer = []", 1), "not in the script, exactly as written"),
        (header() + "<<<<<<< SEARCH\n        return self.layers(h)\n", "does not end"),
        (header(changes={"depth": 9}) + EDIT, "depth=9"),
        (whole(SHORT), "no JSON object"),
        (header(edits=[]) + EDIT, "edits"),
    ],
)
def test_what_cannot_be_applied_is_asked_again(tmp_path, history, bad, why):
    proposal, context = ask(history, tmp_path, bad, header() + EDIT)
    assert why in context.conversation._given.prompts[1][-1]
    assert proposal.status == "proposed" and "# of the head" in proposal.script


def crashed(history, folder, error="Traceback\nNameError: name 'maths' is not defined"):
    proposal, _ = ask(history, folder, header() + whole(SHORT.replace("None", "maths.pi")))
    return crash(history, proposal, folder, error), proposal


def test_a_crash_comes_back_once_for_repair(tmp_path, history):
    history, broken = crashed(history, tmp_path)
    proposal, context = ask(history, tmp_path, header() + whole(SHORT.replace("None", "3.14")))
    prompt = prompt_of(context)
    assert "## Repair this script" in prompt and "name 'maths' is not defined" in prompt
    assert broken.script.rstrip() in prompt
    assert proposal.parent == 1 and proposal.state == (Repair(attempt=1, of=1),)


def test_repairs_are_bounded_and_the_idea_is_then_left(tmp_path, history):
    history, _ = crashed(history, tmp_path)
    second, _ = ask(history, tmp_path, header() + whole(SHORT.replace("None", "maths.e")), options={"repairs": 2})
    history = crash(history, second, tmp_path, "NameError")
    third, context = ask(
        history, tmp_path, header() + whole(SHORT.replace("None", "maths.tau")), options={"repairs": 2}
    )
    assert third.state == (Repair(attempt=2, of=1),)
    history = crash(history, third, tmp_path, "NameError")
    fourth, context = ask(history, tmp_path, header() + EDIT, options={"repairs": 2})
    assert fourth.state == () and fourth.parent == 0
    assert "## Repair this script" not in prompt_of(context)
    assert "3 of 4 trials have no error to compare: 3 crash." in prompt_of(context)


def test_no_repairs_where_none_are_wanted(tmp_path, history):
    history, _ = crashed(history, tmp_path)
    proposal, _ = ask(history, tmp_path, header() + EDIT, options={"repairs": 0})
    assert proposal.parent == 0


def test_the_playbook_repairs_a_misspelt_name_from_its_traceback(tmp_path):
    history = search("ua", 1, tmp_path)
    good = SCRIPT.replace("        layers = []\n", "        layers = [nn.Dropout(0.5)]\n")
    script = good.replace("    epochs = max(1, round(knobs", "    epochs = max(1, round(knob")
    number, line = next((n, line) for n, line in enumerate(script.split("\n"), 1) if "round(knob[" in line)
    error = (
        f'Traceback:\n  File "/x/train.py", line {number}, in fit\n    {line.strip()}\n'
        "NameError: name 'knob' is not defined. Did you mean: 'knobs'?"
    )
    broken = Proposal(history[1].knobs, script, origin="agent", parent=1, hypothesis="dropout before the head")
    history = crash(history, broken, tmp_path, error)
    repair = propose(history, context_for("ua", tmp_path, history))
    assert repair.script == good and repair.state == (Repair(attempt=1, of=2),)


def test_a_script_that_worked_before_is_not_repaired(tmp_path, history):
    broken = Proposal(Space().defaults() | {"depth": 4}, SCRIPT, origin="agent", parent=0)
    history = crash(history, broken, tmp_path, "MemoryError")
    proposal, context = ask(history, tmp_path, header() + EDIT)
    assert proposal.parent == 0 and "## Repair this script" not in prompt_of(context)


def test_the_playbook_takes_an_idea_out_that_it_cannot_mend(tmp_path):
    from tmelt.llm.extract import apply_edits
    from tmelt.strategies.playbook.ideas import read_ideas

    history = search("ua", 1, tmp_path)
    script = apply_edits(SCRIPT + "# of mine\n", read_ideas()[0].edits_for(SCRIPT))
    broken = Proposal(history[1].knobs, script, origin="agent", parent=1)
    history = crash(history, broken, tmp_path, "RuntimeError: mat1 and mat2 shapes cannot be multiplied")
    repair = propose(history, context_for("ua", tmp_path, history))
    assert repair.script == SCRIPT + "# of mine\n" and "without Multi-pooling" in repair.hypothesis


def test_the_playbook_says_when_it_knows_no_repair(tmp_path):
    history = search("ua", 1, tmp_path)
    broken = Proposal(history[1].knobs, SHORT, origin="agent", parent=1)
    history = crash(history, broken, tmp_path, "RuntimeError: ?")
    repair = propose(history, context_for("ua", tmp_path, history))
    assert repair.status == "refused" and repair.script == SHORT
