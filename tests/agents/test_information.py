"""What agents are told of the task, of what is left and of outcomes; and that they may start from any trial."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from searching import SCRIPT, context_for, prompt_of, search, step
from simulation import Landscape, outcome, simulate

from tmelt.llm import Conversation, LLMSettings, Spent
from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Space
from tmelt.strategies import propose
from tmelt.strategies.facts import open_labels, reference_errors
from tmelt.strategies.left import FILE, left_in_force
from tmelt.strategies.memory import remember
from tmelt.strategies.outcomes import dead_knobs, decisions_text, expectations_text
from tmelt.strategies.tokens import estimate_tokens

REPLY = {"hypothesis": "h", "rationale": "r"}
DECLARED = {"name": "sharpness", "kind": "float", "low": 0.0, "high": 1.0, "default": 0.5, "meaning": "m"}
OTHER = f"KNOBS = [{DECLARED}]\n\n\ndef fit(task, knobs, checkpoint):\n    return knobs['sharpness']\n\n\n" + (
    "def predict(task, checkpoint):\n    return []\n"
)


def proteins() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(200):
        group = "thermo" if number % 2 else "meso"
        split = ("fit", "fit", "fit", "stop", "val", "test")[number % 6]
        tm = (70 if group == "thermo" else 50) + float(rng.normal(0, 2))
        sequence = "".join(rng.choice(list("AK" if group == "thermo" else "GS"), 50))
        rows.append({
            "protein_id": f"p{number}", "sequence": sequence, "organism": group, "split": split,
            "tm": tm if split in ("fit", "stop") else None,
        })  # fmt: skip
    return pl.DataFrame(rows)


def test_labels_and_reference_predictors_are_described():
    facts = open_labels(proteins())
    assert "mean" in facts["labels of fit"] and "quartiles" in facts["labels of stop"]
    assert facts["groups, which no candidate is told"].count("mean of fit") == 2
    errors = reference_errors(proteins().filter(pl.col("tm").is_not_null()))
    assert errors["median of fit"] > 8 > 3 > errors["mean of fit by group"]
    assert errors["ridge on composition and log length"] < 4


def test_facts_do_not_depend_on_hidden_labels():
    """Not even where a table should hold them by mistake."""
    hidden = pl.col("split").is_in(["val", "test"])
    shown = proteins().with_columns(tm=pl.when(hidden).then(pl.lit(99.0)).otherwise("tm"))
    assert open_labels(shown) == open_labels(proteins())


def test_what_is_left_is_told_and_stays_what_it_was_in_a_replay(tmp_path):
    history = search("ra", 1, tmp_path)
    reply = json.dumps({**REPLY, "changes": {"depth": 4}})
    first = context_for("ra", tmp_path, history, replies=[reply])
    proposal = propose(history, first)
    assert "Trial 2 of 12; 10 trials come after it." in prompt_of(first)
    assert "A reply may have 8192 tokens" in prompt_of(first)
    extended = replace(context_for("ra", tmp_path, history, replies=[], replay="strict"), iterations=40)
    assert propose(history, extended) == proposal
    again = replace(context_for("ra", tmp_path, history, replies=[reply], replay="off"), iterations=40)
    propose(history, again)
    assert "Trial 2 of 40; 38 trials come after it." in prompt_of(again)


def test_rounds_and_a_budget_are_told(tmp_path):
    context = replace(context_for("ra_bo", tmp_path, search("ra_bo", 1, tmp_path)), iterations=20)
    settings = LLMSettings(model="playbook", budget={"usd": 2.0, "calls": 30}, price={"input": 1, "output": 1})
    conversation = Conversation(settings, tmp_path / "i2" / "llm", Spent(usd=0.5, calls=4))
    text = left_in_force(context, conversation, 8)
    assert "Trial 2 of 20; 18 trials come after it." in text
    assert "With 8 trials of BO in each round, 2 rounds follow." in text
    assert "$1.50 of $2.00 is left" in text and "26 of 30 calls are left" in text
    assert (tmp_path / "i2" / "llm" / FILE).read_text().strip() == text


def test_knobs_that_a_script_does_not_read_are_marked_dead(tmp_path):
    assert dead_knobs(SCRIPT, Space().defaults()) == set()
    assert dead_knobs(OTHER, {"sharpness": 1, "depth": 2, "dropout": 3}) == {"depth", "dropout"}
    assert dead_knobs("def fit(task, knobs, checkpoint): F(**dict(depth=1))", ["depth", "loss"]) == {"loss"}
    history = step(History(), Proposal(Space().defaults(), SCRIPT, origin="baseline"), tmp_path)
    text = remember(history, Space(), base=0, tokens=12_000, script_of=lambda number: OTHER)
    named = text.split("Dead, because the script does not read them: ")[1].split(".")[0].split(", ")
    assert set(named) == Space().defaults().keys() and "| depth |" not in text
    assert "Dead" not in remember(history, Space(), base=0, tokens=12_000, script_of=lambda number: SCRIPT)


def test_decisions_and_expectations_are_explained_in_numbers():
    history = simulate("random", 1)
    for depth, expected in ((2, -0.5), (3, 0.3)):
        proposal = Proposal(Space().defaults() | {"depth": depth}, SCRIPT, origin="agent", parent=0,
                            expected_effect=expected)  # fmt: skip
        history = outcome(history, proposal, Landscape(Space()))
    text = decisions_text(history)
    assert "Margins of the last 3 comparisons" in text
    assert all(f"- Trial {trial.iteration}: " in text and f": {trial.decision}" in text for trial in history[1:])
    assert "Over 2 of your trials that worked: expected -0.10 °C on average" in expectations_text(history)
    table = remember(history, Space(), base=0, tokens=12_000)
    assert "| expected | got |" in table and "| -0.50 |" in table


def test_diagnostics_are_told_within_the_budget():
    groups = [[f"a group with a long name {number}", 10, 7.0, 0.1] for number in range(9)]
    found = {
        "epochs": 30.0, "best_epoch": 21.0, "reports": {f"n{number}": 0.5 for number in range(20)},
        "stop_errors": {
            "mae": 7.0, "bias": 0.0, "groups": groups, "tm": groups[:4], "length": groups[:4], "worst": [],
            "calibration": {"slope": None, "sd_predicted": 1.0, "sd_measured": 9.0},
        },
    }  # fmt: skip
    history = simulate("random", 40)
    history = History([Trial.of({**trial.row, "diagnostics": json.dumps(found)}) for trial in history])
    text = remember(history, Space(), base=0, tokens=6000, look_up=[3], script_of=lambda number: SCRIPT)
    assert estimate_tokens(text) <= 6000
    assert "| 30/21 |" in text and "### Errors on early-stopping proteins" in text and "### Reported by" in text


def test_most_of_a_prompt_repeats_from_one_question_to_the_next(tmp_path):
    """Stable parts come first, so that a provider's cache can serve them as long as the base stays."""
    history, shares, before, base = simulate("random", 8, folder=tmp_path, reference=SCRIPT), [], "", None
    for count in range(4, 10):
        seen = History(history[:count])
        context = context_for("ua", tmp_path, seen, replies=["no"], max_asks=1)
        propose(seen, context)
        after = prompt_of(context)
        if seen.incumbent.iteration == base:
            same = next(place for place, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
            shares.append(estimate_tokens(after[:same]) / estimate_tokens(after))
        before, base = after, seen.incumbent.iteration
    print(f"share of tokens before the first difference: {[round(share, 2) for share in shares]}")
    assert shares and min(shares) > 0.6


def test_any_trial_that_ran_can_be_built_on(tmp_path):
    history = step(History(), Proposal(Space().defaults(), SCRIPT, origin="baseline"), tmp_path)
    knobs = Space().defaults() | {"sharpness": 0.9, "depth": 3}
    other = Proposal(knobs, OTHER, origin="agent", parent=0, declared_knobs=[DECLARED])
    history = step(history, other, tmp_path, replace(Landscape(Space()), floor=99.0))
    assert history.incumbent.iteration == 0
    header = f"```json\n{json.dumps({**REPLY, 'changes': {'sharpness': 0.1}, 'from': 1})}\n```\n"
    proposal = propose(history, context_for("ua", tmp_path, history, replies=[header]))
    assert (proposal.script, proposal.parent) == (OTHER, 1)
    assert proposal.knobs["sharpness"] == 0.1 and proposal.knobs["depth"] == 3
    edit = "<<<<<<< SEARCH\n    return []\n=======\n    return [1]\n>>>>>>> REPLACE\n"
    proposal = propose(history, context_for("ua", tmp_path, history, replies=[header + edit], replay="off"))
    assert "return [1]" in proposal.script and proposal.parent == 1


@pytest.mark.parametrize("kind", ["ra", "ra_bo", "llm_seeded", "centaur"])
def test_every_agent_can_start_from_another_trial(kind, tmp_path):
    history = simulate("random", 3, folder=tmp_path, reference=SCRIPT)
    start = next(trial for trial in history[1:] if trial.iteration != history.incumbent.iteration)
    changes = {"dropout": 0.123}
    reply = {**REPLY, "from": start.iteration, "changes": changes}
    if kind == "ra_bo":
        reply |= {"subspace": {"dropout": {"low": 0.05, "high": 0.2}}, "subspace_reason": "s"}
    if kind == "centaur":
        reply["base"] = "incumbent"
    options = {"centaur": {"override": 1}}.get(kind, {})
    if kind == "llm_seeded":
        del reply["changes"]
        reply["candidates"] = [{"dropout": 0.1 + number / 100} for number in range(4)]
        changes = reply["candidates"][0]
    proposal = propose(history, context_for(kind, tmp_path, history, replies=[json.dumps(reply)], options=options))
    assert proposal.status == "proposed", proposal.error
    assert proposal.parent == start.iteration and proposal.knobs == start.knobs | changes


@pytest.mark.parametrize(("number", "why"), [(99, "there is no trial 99"), (2, "trial 2 did not run")])
def test_a_start_that_is_none_is_asked_again(number, why, tmp_path):
    history = simulate("random", 1, folder=tmp_path, reference=SCRIPT)
    refused = Proposal(dict(history[1].knobs), SCRIPT, origin="agent", status="refused", error="no usable reply")
    history = step(history, refused, tmp_path)
    replies = [json.dumps({**REPLY, "changes": {"dropout": 0.2}, "from": start}) for start in (number, 1)]
    context = context_for("ra", tmp_path, history, replies=replies)
    assert propose(history, context).parent == 1
    assert why in context.conversation._given.prompts[1][-1]
