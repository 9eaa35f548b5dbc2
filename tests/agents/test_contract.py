"""What every agent keeps, whatever it does: the contract of tests/test_strategies.py, with the playbook as model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from searching import SCRIPT, context_for, search
from simulation import Landscape

from tmelt.search.history import History
from tmelt.search.knobs import Space, space_of_config
from tmelt.storage.files import canonical_json
from tmelt.strategies import propose
from tmelt.strategies.agent import extended_space
from tmelt.strategies.registry import agent_kinds
from tmelt.study.config import load_config

ROOT = Path(__file__).resolve().parents[2]
FAILING = Landscape(Space(), seed=1, failing=0.3)


FAST = {"ra", "ua_bo"}  # `make check` has one agent that changes knobs, and one that writes scripts, with BO in it


@pytest.fixture(
    scope="module",
    params=[name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in sorted(agent_kinds())],
)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp(kind)


@pytest.fixture(scope="module")
def history(kind, folder) -> History:
    """A search in which almost a third of the trials fail."""
    return search(kind, 30, folder, FAILING)


def test_trial_0_is_the_baseline(kind, tmp_path):
    proposal = propose(History(), context_for(kind, tmp_path, History()))
    assert (proposal.origin, proposal.script, proposal.knobs) == ("baseline", SCRIPT, Space().defaults())


def test_the_search_goes_on_whatever_fails(history):
    assert len(history) == 31
    assert {trial.status for trial in history} <= {"ok", "crash", "refused"}
    assert sum(trial.status == "refused" for trial in history) <= 3


def test_nothing_is_tried_twice(history):
    ran = [trial for trial in history if trial.status != "refused"]
    assert len({(trial.script, canonical_json(trial.knobs)) for trial in ran}) == len(ran)


def test_knobs_are_complete_and_inside_their_ranges(history):
    from types import SimpleNamespace

    for trial in history:
        space = extended_space(SimpleNamespace(space=Space()), trial.proposal["declared_knobs"])
        assert space.complete(trial.knobs) == trial.knobs


def test_every_llm_trial_leaves_its_transcripts(history, folder):
    for trial in history:
        for name in trial.proposal["transcripts"]:
            assert (folder / f"i{trial.iteration}" / "llm" / name).exists()
        assert (trial.origin == "agent") == bool(trial.proposal["transcripts"])


def test_it_gets_somewhere(history):
    assert history.incumbent.val_mae < history[0].val_mae if history[0].ok else history.incumbent is not None


def test_the_scripted_researcher_is_labelled_as_such(history, folder):
    asked = [trial for trial in history if trial.llm_calls and trial.status != "refused"]
    assert asked and all("[playbook: scripted, not an LLM]" in trial.proposal["rationale"] for trial in asked)
    record = (folder / f"i{asked[0].iteration}" / "llm" / "01.json").read_text()
    assert '"scripted": true' in record and '"model": "playbook"' in record
    assert all(trial.cost_usd == 0 and trial.prompt_tokens is None for trial in asked)


def test_a_strict_replay_makes_the_same_files(kind, history, folder, tmp_path):
    for trial in history[1:12]:
        past = history[: trial.iteration]
        replayed = propose(History(past), context_for(kind, folder, History(past), replay="strict"))
        replayed.write(tmp_path / f"i{trial.iteration}")
        for name in ("proposal.json", "train.py"):
            recorded = folder / f"i{trial.iteration}" / name
            assert (tmp_path / f"i{trial.iteration}" / name).read_bytes() == recorded.read_bytes()


@pytest.mark.slow
def test_a_new_process_proposes_the_same(kind, tmp_path):
    here = search(kind, 6, tmp_path / "here", Landscape(Space(), failing=0.2)).head
    command = [sys.executable, str(ROOT / "tests/agents/searching.py"), kind, "6", str(tmp_path / "there")]
    environment = {**os.environ, "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == here


def test_it_works_in_the_default_study_s_space(kind, tmp_path):
    config = load_config(ROOT / "config.yaml")
    space = space_of_config(config.design.space)
    history = search(kind, 12, tmp_path, Landscape(space))
    assert all(trial.status == "ok" for trial in history)
