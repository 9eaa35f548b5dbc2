"""RA+BO and UA+BO: rounds that the history alone tells, subspaces, warm starts, and who proposed what."""

import json

import pytest
from searching import SCRIPT, context_for, crash, prompt_of, search, step
from simulation import Landscape, outcome

from tmelt.errors import InputError
from tmelt.search.history import History, Proposal
from tmelt.search.knobs import KnobError, Space
from tmelt.search.notes import InRound, Repair, find
from tmelt.strategies import propose
from tmelt.strategies.agent import extended_space
from tmelt.strategies.check_options import check_options
from tmelt.strategies.optuna_space import inside
from tmelt.strategies.rounds import current_round, narrowed

SUBSPACE = {"learning_rate": {"low": 1e-4, "high": 1e-3}, "pooling": {"choices": ["mean", "attention"]}}


def reply(changes, subspace=SUBSPACE, **rest):
    fields = {"hypothesis": "h", "rationale": "r", "subspace_reason": "why"}
    return json.dumps(fields | {"changes": changes, "subspace": subspace} | rest)


GOOD = reply({"depth": 2, "pooling": "attention"})


@pytest.mark.parametrize("kind", ["ra_bo", "ua_bo"])
def test_rounds_alternate_between_agent_and_bo(kind, tmp_path):
    history = search(kind, 14, tmp_path, options={"round": 4})
    for trial in history[1:]:
        first = (trial.iteration - 1) % 5 == 0
        assert (trial.origin == "agent") == first
        assert trial.origin in ("agent", "startup", "sampler")
        assert trial.note(InRound).number == 1 + (trial.iteration - 1) // 5
        assert bool(trial.llm_calls) == first
    for start in (1, 6, 11):
        space = extended_space(context_for(kind, tmp_path, history), history[start].proposal["declared_knobs"])
        narrow = narrowed(space, history[start].knobs, history[start].proposal["subspace"])
        members = history[start : min(start + 5, len(history))]
        assert inside(members, narrow, history[start].script) == list(members)
        assert all(trial.parent == start for trial in members[1:])


@pytest.mark.parametrize("kind", ["ra_bo", "ua_bo"])
def test_hybrids_are_hybrids(kind, tmp_path):
    """By default, and in the default study's short rounds, most trials of BO are chosen by its model."""
    for options in ({}, {"round": 3}):
        history = search(kind, 8, tmp_path / str(len(options)), options=options)
        inner = [trial for trial in history[1:] if trial.origin != "agent"]
        assert sum(trial.model_based for trial in inner) > len(inner) / 2
        assert all(trial.model_based == (trial.origin == "sampler") for trial in history)


@pytest.mark.parametrize("kind", ["ra_bo", "ua_bo"])
def test_rounds_shorter_than_their_startup_are_refused(kind):
    with pytest.raises(InputError, match="no trial of BO would be model-based"):
        check_options("mixed", kind, {"model": "playbook", "round": 3, "bo": {"startup": 4}})
    check_options("mixed", kind, {"model": "playbook", "round": 3, "bo": {"startup": 3}})


def test_bo_is_warmed_by_earlier_trials_inside_the_subspace(tmp_path):
    history = search("ra_bo", 5, tmp_path, options={"round": 4})
    wide = reply({"depth": 2}, {"learning_rate": {"low": 1e-5, "high": 1e-2}})
    context = context_for("ra_bo", tmp_path, history, replies=[wide], options={"round": 4})
    history = step(history, propose(history, context), tmp_path)
    inner = {"round": 4, "bo": {"sampler": "tpe", "startup": 1}}
    drawn = propose(history, context_for("ra_bo", tmp_path, history, options=inner))
    assert drawn.origin == "sampler" and "told 1 trial with" in drawn.rationale
    assert drawn.knobs["depth"] == 2 and drawn.subspace == {"learning_rate": {"low": 1e-5, "high": 1e-2}}


def test_the_agent_reads_what_came_of_its_round(tmp_path):
    history = search("ra_bo", 5, tmp_path, options={"round": 4})
    changes = {"depth": 2, "learning_rate": 2e-4}
    replies = [reply(changes, {"learning_rate": {"low": 1e-4, "high": 1e-3}})]
    context = context_for("ra_bo", tmp_path, history, replies=replies, options={"round": 4})
    proposal = propose(history, context)
    best = min(history[1:], key=lambda trial: (trial.val_mae, trial.iteration))
    assert "Round 1, opened by trial 1" in prompt_of(context)
    assert f"the round's best, trial {best.iteration}" in prompt_of(context)
    assert proposal.state == (InRound(number=2, subspace_reason="why"),)


@pytest.mark.parametrize(
    ("subspace", "why"),
    [
        ({}, "subspace"),
        ({"layers": {"low": 1, "high": 2}}, "no such knob"),
        ({"learning_rate": {"low": 1e-4, "high": 1}}, "outside"),
        ({"learning_rate": {"low": 1e-3, "high": 1e-4}}, "low < high"),
        ({"huber_delta": {"low": 1, "high": 2}}, "nothing to search"),  # the loss stays what it is, mse
        ({"huber_delta": {"low": 1, "high": 2}, "loss": {"fixed": "mse"}}, "nothing to search"),
        ({"learning_rate": {"choices": [1e-4, 1e-3]}}, "does not fit"),
        ({"learning_rate": {"low": "small"}}, "low and high are numbers"),
        ({"learning_rate": {"high": 10**400}}, "finite numbers"),
        ({"learning_rate": 0.1}, "dictionary"),
        ({"pooling": {"choices": ["mean", "sum"]}}, "one of mean, max, attention"),
        ({"pooling": {"choices": ["mean", "max"]}}, "your own trial lies outside"),
        ({"pooling": {"low": 0}}, "does not fit"),
        ({"depth": {"fixed": 2}}, "nothing to search"),
        ({"learning_rate": {"low": 1e-3, "high": 1e-2}}, "your own trial lies outside"),
        ({"learning_rate": {"low": 1e-4, "log": False}}, "does not fit"),
    ],
)
def test_an_illegal_subspace_is_asked_again(tmp_path, subspace, why):
    history = search("ra_bo", 0, tmp_path)
    bad = reply({"depth": 2, "pooling": "attention"}, subspace)
    context = context_for("ra_bo", tmp_path, history, replies=[bad, GOOD])
    assert propose(history, context).status == "proposed"
    assert why in context.conversation._given.prompts[1][-1]


def test_a_subspace_that_opens_a_condition_frees_what_depends_on_it():
    defaults = Space().defaults()
    narrow = narrowed(Space(), defaults, {"loss": {"choices": ["mse", "huber"]}})
    assert (narrow["huber_delta"].low, narrow["huber_delta"].high) == (0.5, 15.0)
    assert narrow["depth"].choices == (1,)
    with pytest.raises(KnobError):
        narrowed(Space(), defaults, {"loss": {"choices": ["mae", "huber"]}})


def test_a_round_whose_opening_was_refused_is_opened_again(tmp_path):
    history = search("ra_bo", 0, tmp_path)
    refused = propose(history, context_for("ra_bo", tmp_path, history, replies=["no"], max_asks=1))
    assert refused.status == "refused"
    history = step(history, refused, tmp_path)
    assert current_round(history) is None
    proposal = propose(history, context_for("ra_bo", tmp_path, history, replies=[GOOD]))
    assert find(proposal.state, InRound).number == 1


def test_a_used_up_subspace_ends_its_round(tmp_path):
    history = search("ra_bo", 0, tmp_path)
    tiny = reply({"depth": 2}, {"depth": {"low": 1, "high": 2}})
    history = step(history, propose(history, context_for("ra_bo", tmp_path, history, replies=[tiny])), tmp_path)
    context = context_for("ra_bo", tmp_path, history, replies=[GOOD])
    proposal = propose(history, context)
    assert proposal.origin == "agent" and find(proposal.state, InRound).number == 2


def test_bo_never_touches_a_script_that_crashed(tmp_path):
    history = search("ua_bo", 0, tmp_path)
    script = SCRIPT + "\nBROKEN = maths.pi\n"
    broken = f"```json\n{reply({}, {'depth': {'low': 1, 'high': 3}})}\n```\n```python\n{script}```\n"
    proposal = propose(history, context_for("ua_bo", tmp_path, history, replies=[broken]))
    assert proposal.script == script
    history = crash(history, proposal, tmp_path, "NameError: name 'maths' is not defined")
    mended = f"```json\n{reply({}, SUBSPACE)}\n```\n```python\n{SCRIPT}# mended\n```\n"
    context = context_for("ua_bo", tmp_path, history, replies=[mended])
    repair = propose(history, context)
    assert "## Repair this script" in prompt_of(context)
    assert (
        repair.origin == "agent" and find(repair.state, Repair).attempt == 1 and find(repair.state, InRound).number == 1
    )
    history = step(history, repair, tmp_path)
    drawn = propose(history, context_for("ua_bo", tmp_path, history))
    assert drawn.origin == "startup" and drawn.script == repair.script and find(drawn.state, InRound).start == 2


def test_ua_bo_searches_the_knobs_that_its_script_declares(tmp_path):
    history = search("ua_bo", 0, tmp_path)
    row = {"name": "ema_decay", "kind": "float", "low": 0.9, "high": 0.999, "default": 0.98, "meaning": "decay"}
    script = f"KNOBS = [{row}]\n{SCRIPT}"
    text = f"```json\n{reply({}, {'ema_decay': {'low': 0.95, 'high': 0.99}})}\n```\n```python\n{script}```\n"
    history = step(history, propose(history, context_for("ua_bo", tmp_path, history, replies=[text])), tmp_path)
    values = set()
    for _ in range(3):
        drawn = propose(history, context_for("ua_bo", tmp_path, history))
        assert drawn.script == script and 0.95 <= drawn.knobs["ema_decay"] <= 0.99
        assert drawn.declared_knobs[0]["name"] == "ema_decay"
        values.add(drawn.knobs["ema_decay"])
        history = step(history, drawn, tmp_path)
    assert len(values) == 3
    fixed = {name: value for name, value in history[1].knobs.items() if name != "ema_decay"}
    assert all(fixed.items() <= trial.knobs.items() for trial in history[2:])


def test_a_stranger_to_the_round_state_is_no_round():
    first = Proposal(Space().defaults(), SCRIPT, origin="baseline")
    history = outcome(History(), first, Landscape(Space()))
    assert current_round(history) is None
