"""The restricted agent: what it is told, what it may reply, and what becomes of replies that it may not give."""

import json
from dataclasses import asdict

import pytest
from searching import FACTS, context_for, crash, prompt_of, search, step

from tmelt.errors import InputError
from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Space
from tmelt.search.notes import Ended
from tmelt.strategies import propose
from tmelt.strategies.coarse import coarse, told_mae
from tmelt.strategies.stop import UNUSABLE


def reply(changes, **rest):
    return json.dumps({"changes": changes, "hypothesis": "because", "rationale": "trial 0", **rest})


GOOD = reply({"pooling": "attention", "depth": 2}, expected_effect=-0.2)


@pytest.fixture
def history(tmp_path) -> History:
    """The baseline and two trials."""
    return search("ra", 2, tmp_path)


def test_a_good_reply_becomes_a_proposal_based_on_the_incumbent(tmp_path, history):
    proposal = propose(history, context_for("ra", tmp_path, history, replies=[GOOD]))
    best = history.incumbent
    assert proposal.status == "proposed" and proposal.origin == "agent"
    assert proposal.parent == best.iteration
    assert proposal.knobs == Space().complete(best.knobs | {"pooling": "attention", "depth": 2})
    assert (proposal.hypothesis, proposal.expected_effect) == ("because", -0.2)
    assert (proposal.llm_calls, proposal.transcripts) == (1, ("01.json",))
    assert (tmp_path / "i3" / "llm" / "01.json").exists()


def test_the_prompt_holds_what_the_agent_must_know(tmp_path, history):
    failed = crash(
        history, Proposal(Space().defaults() | {"depth": 4}, history_script()), tmp_path, "OSError: no space"
    )
    context = context_for("ra", tmp_path, failed, replies=[GOOD])
    propose(failed, context)
    prompt = prompt_of(context)
    assert Space().markdown() in prompt
    assert all(str(key) in prompt for key in FACTS)
    for trial in history:
        assert f"| {trial.iteration} | {told_mae(trial):.2f} |" in prompt
        assert f" {told_mae(trial) - coarse(trial.fit_mae, trial.margin):.2f} |" in prompt
    assert "1 × crash: OSError: no space (trials 3)" in prompt
    assert "Beat the incumbent's mean validation error" in prompt and "overfitting" in prompt
    assert f"trial {failed.incumbent.iteration} with {told_mae(failed.incumbent):.2f}" in prompt


def history_script() -> str:
    from searching import SCRIPT

    return SCRIPT


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("I would try attention pooling.", "no JSON object"),
        (reply({}), "nothing would change"),
        (reply({"depth": 2, "heads": 4, "width": 64, "loss": "mae"}), "4 of them; change at most 3"),
        (reply({"layers": 3}), "layers: no such knob"),
        (reply({"depth": 9}), "depth=9: outside"),
        (reply({"depth": "2"}), "a finite number"),
        (reply({"depth": True}), "a finite number"),
        (reply({"pooling": "sum"}), "one of mean, max, attention"),
        (reply({"pooling": ["mean"]}), "one of mean, max, attention"),
        (reply({"momentum": 0.5}), "momentum counts only if optimiser is sgd"),
        (reply({"width": 256}), "width already is 256 in trial"),
        (reply({"pooling": "attention"}, confidence=1), "confidence"),
        (json.dumps({"changes": {"depth": 2}}), "hypothesis: Field required"),
        (reply({"depth": 2}, expected_effect="lower"), "expected_effect"),
        (reply({"depth": 2}, look_up=[77]), "there is no trial 77"),
        (reply({"depth": 2}, look_up=[0, 1, 2, 0, 1, 2]), "look_up"),
        (json.dumps([1]), "reply: Input should be a valid dictionary"),
        (reply({"depth": 10**400}), "a finite number"),
        (reply({"depth": 2}).replace("2}", "9" * 5000 + "}"), "thousands of digits"),
        (reply({"pooling": "\ud800"}), "one of mean, max, attention"),
        (reply({"depth": 2}, rationale="\ud800"), "rationale"),
    ],
)
def test_an_illegal_reply_is_asked_again_with_the_reason(tmp_path, history, bad, why):
    context = context_for("ra", tmp_path, history, replies=[bad, GOOD])
    proposal = propose(history, context)
    assert why in context.conversation._given.prompts[1][-1]
    assert proposal.status == "proposed" and proposal.llm_calls == 2


@pytest.mark.parametrize("same", [(), ("width",), ("width", "dropout")])
def test_a_change_to_the_same_value_is_dropped_and_the_rest_kept(tmp_path, history, same):
    best = history.incumbent.knobs
    changes = {**{name: best[name] for name in same}, "depth": 2}
    proposal = propose(history, context_for("ra", tmp_path, history, replies=[reply(changes)]))
    assert proposal.llm_calls == 1
    assert proposal.knobs == Space().complete(best | {"depth": 2})


def test_unchanged_knobs_do_not_count_against_the_most_that_may_change(tmp_path, history):
    best = history.incumbent.knobs
    same = dict(list(best.items())[:5])
    same.pop("depth", None)
    proposal = propose(history, context_for("ra", tmp_path, history, replies=[reply({**same, "depth": 2})]))
    assert proposal.llm_calls == 1 and proposal.knobs["depth"] == 2


def test_unusable_replies_in_a_row_stop_the_search_with_the_cause(tmp_path, history):
    options = {"stop_after_unusable": 6}
    bad = ["I would rather not."] * 3

    def proposed(replies, past):
        return propose(past, context_for("ra", tmp_path, past, options=options, replies=replies))

    first = proposed(bad, history)
    assert first.status == "refused"
    refused = step(history, first, tmp_path)
    second = proposed(bad, refused)
    assert second.status == "stopped" and second.llm_calls == 3
    assert second.state == (Ended(cause=UNUSABLE),), "the report would take the search for one that was tried"
    assert "6 replies in a row could not be used" in second.error and "no JSON object" in second.error
    answered = step(refused, proposed([*bad[:2], GOOD], refused), tmp_path)  # a usable reply begins the count anew
    assert proposed(bad, answered).status == "refused"
    options = {"stop_after_unusable": None}
    third = tmp_path / "other"
    assert propose(refused, context_for("ra", third, refused, options=options, replies=bad)).status == "refused"


def test_a_repeated_trial_is_asked_again(tmp_path, history):
    changed = {name: value for name, value in history[1].knobs.items() if history[0].knobs.get(name) != value}
    back = {name: value for name, value in history[0].knobs.items() if history.incumbent.knobs.get(name) != value}
    bad = reply(changed) if history.incumbent.iteration == 0 else reply(dict(list(back.items())[:3]))
    context = context_for("ra", tmp_path, history, replies=[bad, GOOD])
    propose(history, context)
    assert "again" in context.conversation._given.prompts[1][-1]


def test_after_the_last_ask_the_trial_is_refused_and_nothing_replaces_it(tmp_path, history):
    context = context_for("ra", tmp_path, history, replies=[reply({"depth": 9})] * 2, max_asks=2)
    proposal = propose(history, context)
    assert proposal.status == "refused" and "depth=9" in proposal.error
    assert proposal.knobs == history.incumbent.knobs
    assert proposal.llm_calls == 2
    history = step(history, proposal, tmp_path)
    assert history[-1].status == "refused" and history[-1].val_mae is None
    after = propose(history, context_for("ra", tmp_path, history, replies=[GOOD]))
    assert after.status == "proposed", "a refused trial blocks nothing"


def test_a_spent_budget_stops_the_search(tmp_path):
    history = search("ra", 2, tmp_path, options={"budget": {"calls": 2}})
    proposal = propose(history, context_for("ra", tmp_path, history, options={"budget": {"calls": 2}}))
    assert proposal.status == "stopped" and "calls" in proposal.error
    raised = propose(history, context_for("ra", tmp_path, history, options={"budget": {"calls": 3}}))
    assert raised.status == "proposed"


def test_what_an_agent_wants_to_look_up_is_in_the_next_prompt_only(tmp_path, history):
    context = context_for("ra", tmp_path, history, replies=[reply({"depth": 2}, look_up=[1, 0, 1])])
    history = step(history, propose(history, context), tmp_path)
    context = context_for("ra", tmp_path, history, replies=[reply({"depth": 3})])
    history = step(history, propose(history, context), tmp_path)
    assert "### Trial 0 in full" in prompt_of(context) and "### Trial 1 in full" in prompt_of(context)
    context = context_for("ra", tmp_path, history, replies=[reply({"depth": 4})])
    propose(history, context)
    assert "in full, as you asked" not in prompt_of(context)


def test_without_any_success_the_agent_starts_from_the_baseline(tmp_path):
    first = Proposal(Space().defaults(), history_script(), origin="baseline")
    history = crash(History(), first, tmp_path, "MemoryError")
    context = context_for("ra", tmp_path, history, replies=[GOOD])
    assert propose(history, context).parent == 0
    assert "Incumbent: none yet" in prompt_of(context)


def test_an_unknown_option_is_refused(tmp_path, history):
    with pytest.raises(InputError, match="memory_token"):
        propose(history, context_for("ra", tmp_path, history, options={"memory_token": 9000}))


def test_strict_replay_gives_the_same_proposals_without_a_model(tmp_path):
    history = search("ra", 6, tmp_path)
    for trial in history[1:]:
        past = History(history[: trial.iteration])
        replayed = propose(past, context_for("ra", tmp_path, past, replay="strict"))
        assert asdict(replayed)["knobs"] == trial.knobs
        assert replayed.transcripts == tuple(trial.proposal["transcripts"])
