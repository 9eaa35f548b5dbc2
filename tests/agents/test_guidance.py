"""Human oversight: instructions, vetoes and pauses are followed and recorded."""

import json

import pytest
import yaml
from searching import context_for, prompt_of, search, step
from simulation import context_of, simulate

from tmelt.errors import InputError
from tmelt.search.history import Proposal
from tmelt.search.notes import Oversight, find
from tmelt.strategies import propose
from tmelt.strategies.guidance import Guidance, proposal_to_train, read_guidance

REPLY = json.dumps({"changes": {"pooling": "max"}, "hypothesis": "h", "rationale": "r"})


def write(folder, **fields):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "guidance.yaml").write_text(yaml.safe_dump(fields))


def test_no_file_means_nothing(tmp_path):
    assert read_guidance(tmp_path) == Guidance()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("guidence: typo", "guidence"),
        ("veto: 3", "veto"),
        ("veto: [a]", "veto"),
        ("veto: [0]", r"veto\.0: .*greater than or equal to 1"),  # the baseline is every search's
        ("pause_before: soon", "pause_before"),
        ("- a list", "keys"),
        ("guidance: [", "guidance.yaml"),
    ],
)
def test_a_wrong_file_ends_in_one_clear_line(tmp_path, text, wrong):
    (tmp_path / "guidance.yaml").write_text(text)
    with pytest.raises(InputError, match=wrong) as caught:
        read_guidance(tmp_path)
    assert "\n" not in str(caught.value) and "guidance.yaml" in str(caught.value)


def test_words_reach_the_prompt_and_the_record(tmp_path):
    history = search("ra", 2, tmp_path)
    write(tmp_path, guidance="try heads=16 first, please")
    context = context_for("ra", tmp_path, history, replies=[REPLY])
    proposal = propose(history, context)
    assert "try heads=16 first, please" in prompt_of(context)
    assert find(proposal.state, Oversight) == Oversight(guidance="try heads=16 first, please")


def test_the_playbook_heeds_them(tmp_path):
    history = search("ra", 1, tmp_path)
    write(tmp_path, guidance="please try weight_decay=0.2, it worked for me")
    assert propose(history, context_for("ra", tmp_path, history)).knobs["weight_decay"] == 0.2


def test_a_replay_says_the_words_of_then(tmp_path):
    history = search("ra", 1, tmp_path)
    write(tmp_path, guidance="try heads=16")
    first = propose(history, context_for("ra", tmp_path, history))
    write(tmp_path, guidance="other words")
    again = propose(history, context_for("ra", tmp_path, history, replay="strict"))
    assert again == first
    history = step(history, first, tmp_path)
    later = propose(history, context_for("ra", tmp_path, history))
    assert find(later.state, Oversight) == Oversight(guidance="other words")


def test_words_that_come_after_the_call_do_not_drift_its_replay(tmp_path):
    history = search("ra", 1, tmp_path)
    first = propose(history, context_for("ra", tmp_path, history))
    write(tmp_path, guidance="too late for trial 2")
    assert propose(history, context_for("ra", tmp_path, history, replay="strict")) == first


@pytest.mark.parametrize("before", [True, False])
def test_a_veto_refuses_the_trial_whenever_it_comes(tmp_path, before):
    history = search("ra", 1, tmp_path)
    if before:
        write(tmp_path, veto=[2])
    proposal = propose(history, context_for("ra", tmp_path, history))
    assert proposal.llm_calls == 1
    proposal.write(tmp_path / "i2")
    write(tmp_path, veto=[2])
    vetoed = proposal_to_train(tmp_path / "i2")
    assert (vetoed.status, vetoed.error) == ("refused", "vetoed by the user")
    assert vetoed.knobs == dict(proposal.knobs) != dict(history[1].knobs)
    assert vetoed.transcripts == ["01.json"]


def test_what_was_vetoed_is_not_proposed_again(tmp_path):
    history = search("ra", 1, tmp_path)
    write(tmp_path, veto=[2])
    again = json.dumps({"changes": {"pooling": "max"}, "hypothesis": "h", "rationale": "r"})
    other = json.dumps({"changes": {"pooling": "attention", "depth": 2}, "hypothesis": "h", "rationale": "r"})
    history = step(history, propose(history, context_for("ra", tmp_path, history, replies=[again])), tmp_path)
    context = context_for("ra", tmp_path, history, replies=[again, other])
    proposal = propose(history, context)
    assert proposal.status == "proposed" and proposal.llm_calls == 2
    assert "vetoed by the user" in context.conversation._given.prompts[1][-1]


def test_a_pause_stops_every_kind_of_search_until_it_is_lifted(tmp_path):
    history = simulate("random", 3)
    write(tmp_path, pause_before=4)
    paused = propose(history, context_of("random", 4, folder=tmp_path))
    assert paused.status == "stopped" and "pause_before" in paused.error
    assert paused.state == (Oversight(pause_before=4),)
    write(tmp_path, pause_before=5)
    assert propose(history, context_of("random", 4, folder=tmp_path)).status == "proposed"


def test_a_proposal_that_is_not_vetoed_stays_as_it_is(tmp_path):
    Proposal({"depth": 1}, "x = 1\n").write(tmp_path / "i7")
    write(tmp_path, veto=[8])
    assert proposal_to_train(tmp_path / "i7") == Proposal.read(tmp_path / "i7")
