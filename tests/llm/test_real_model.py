"""A real model behind a real server: replies are poor, and every one ends as something that has a name."""

import json
import sys
from pathlib import Path

import pytest
from needs import need
from workflow import REPOSITORY, Workspace, study

from tmelt.errors import InputError
from tmelt.llm import Conversation, LLMSettings, NoUsableReply, Spent, extract_json
from tmelt.llm.dialect import read_dialect
from tmelt.llm.probe import probe_model
from tmelt.llm.transcript import charge_of, read_record

sys.path.append(str(REPOSITORY / "tests" / "agents"))


from .llama import LlamaServer, stretched, weights

pytestmark = [pytest.mark.llama, pytest.mark.slow, pytest.mark.timeout(1800)]
LONGEST = 1_500  # tokens of a prompt: some hundred a second are read


@pytest.fixture(scope="module")
def llama():
    need(weights(), "no real model here: make test installs requirements-test.lock")
    with LlamaServer() as server:
        yield server


def settings_for(server: LlamaServer, **changes) -> LLMSettings:
    return LLMSettings(
        **{
            "model": "openai:smollm2", "base_url": f"{server.url}/v1", "max_tokens": 96, "max_asks": 2,
            "temperature": 0.0, "timeout_s": 900, "extra": {"seed": 1}, "price": {"input": 1.0, "output": 1.0},
            **changes,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def probed(llama, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    probe_model(settings_for(llama, budget={"tokens": 10**6}), LONGEST, folder)
    return folder


def test_the_probe_finds_a_sound_dialect(llama, probed):
    dialect = read_dialect(probed / "dialect.json")
    assert (dialect.answer, dialect.usage, dialect.cap_obeyed, dialect.stream) == ("text", "reported", True, False)
    assert dialect.seen_tokens > LONGEST / 10
    record = read_record(next(probed.glob("cap-*/01.json")))
    assert record["reply"]["truncated"] and record["usage"]["completion_tokens"] == 64
    long = read_record(probed / f"long-{dialect.cap}" / "01.json")
    least = dialect.seen_tokens
    assert (
        least < long["usage"]["prompt_tokens"] < long["reserved"]["prompt_tokens"]
    )  # both bounds hold, really counted


def test_a_replay_needs_no_server(llama, probed):
    settings = settings_for(llama, base_url="http://127.0.0.1:9/v1", budget={"tokens": 10**6})
    assert probe_model(settings, LONGEST, probed, "strict") == read_dialect(probed / "dialect.json")


def test_streaming_brings_the_same_reply(llama, probed, tmp_path):
    plain = read_dialect(probed / "dialect.json")
    texts = []
    for dialect in (plain, plain.model_copy(update={"stream": True})):
        conversation = Conversation(settings_for(llama), tmp_path / str(dialect.stream), Spent(), dialect=dialect)
        record = conversation.exchange(system="You are brief.", user="What is a protein?", purpose="test")
        texts.append(record["reply"]["text"])
        assert record["usage"]["prompt_tokens"] > 0 and 0 < record["usage"]["completion_tokens"] <= 96
    assert texts[0] == texts[1] != ""


def test_poor_replies_are_asked_again_recorded_and_charged(llama, probed, tmp_path):
    dialect = read_dialect(probed / "dialect.json")
    conversation = Conversation(settings_for(llama), tmp_path, Spent(), dialect=dialect)
    with pytest.raises(NoUsableReply) as caught:
        conversation.ask(
            system="You tune knobs.", user="Which knob? Explain at length.", parse=extract_json, purpose="test"
        )
    assert len(caught.value.errors) == 2 and all(caught.value.errors)
    records = [read_record(tmp_path / name) for name in conversation.transcripts]
    tokens = sum(record["usage"]["prompt_tokens"] + record["usage"]["completion_tokens"] for record in records)
    assert charge_of(tmp_path).tokens == tokens and conversation.cost_usd == pytest.approx(tokens / 1e6)


def test_a_context_that_is_too_short_stops_the_probe_in_one_line(tmp_path):
    need(weights(), "no real model here: make test installs requirements-test.lock")
    with LlamaServer(context=1024) as server, pytest.raises(InputError, match=r"context.*lower that") as caught:
        probe_model(settings_for(server), LONGEST, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory):
    """A server with room for the prompts of a search."""
    need(weights(), "no real model here: make test installs requirements-test.lock")
    model = stretched(tmp_path_factory.mktemp("weights") / "roomy.gguf", 16_384)
    with LlamaServer(context=16_384, model=model) as server:
        yield server


def test_a_study_runs_to_its_report(roomy, tmp_path):
    """An `ra` search by the real model, end to end."""
    agent = {
        "kind": "ra", "model": "openai:smollm2", "base_url": f"{roomy.url}/v1", "memory_tokens": 6000,
        "max_tokens": 96, "max_asks": 2, "temperature": 0.0, "timeout_s": 900, "extra": {"seed": 1},
        "price": {"input": 0, "output": 0},
    }  # fmt: skip
    space = Workspace(tmp_path / "space", study(iterations=1, strategies={"ra": agent}))
    space.run(targets=["all"], timeout=1500)
    (dialect,) = space.study.glob("models/*/dialect.json")
    assert read_dialect(dialect).cap_obeyed
    proposal = json.loads((space.study / "ra/t0/i1/proposal.json").read_text())
    assert proposal["status"] in ("proposed", "refused")
    if proposal["status"] == "refused":
        assert "no usable reply after 2 asks" in proposal["error"]
    assert len(proposal["transcripts"]) == proposal["llm_calls"] >= 1
    assert space.trials()["status"].to_list()[0] == "ok"
    assert (space.study / "report" / "report.html").exists()
