"""Replay from transcripts, and paid calls that survive kills: nothing is paid twice, nothing paid is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tmelt.errors import InfrastructureError, InputError
from tmelt.llm import BudgetSpent, Conversation, LLMSettings, ReplyError, Spent, extract_json
from tmelt.llm.transcript import locked, read_record, write_record
from tmelt.storage.files import read_json, write_json

from .server import Reply

GOOD = '{"knob": 1}'


def ask(conversation, user="Which knob?", parse=extract_json, system="You tune knobs.\nBe brief."):
    return conversation.ask(system=system, user=user, parse=parse, purpose="propose")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.json"))}


def sums(conversation):
    return (
        conversation.calls,
        conversation.prompt_tokens,
        conversation.completion_tokens,
        conversation.cost_usd,
        conversation.transcripts,
    )


def test_strict_replay_gives_the_same_without_a_network(talk, server, tmp_path):
    server.will(Reply("boom", status=500), Reply("No JSON."), Reply(f"```json\n{GOOD}\n```"), Reply('{"second": 2}'))
    first = talk()
    answers = [ask(first), ask(first, "And now?")]
    first.finish()
    before = content(tmp_path / "llm")
    requests = len(server.requests)

    again = talk(replay="strict", base_url="http://192.0.2.1/v1", api_key_env="NOT_SET_ANYWHERE", timeout_s=1)
    assert [ask(again), ask(again, "And now?")] == answers
    again.finish()
    assert sums(again) == sums(first)
    assert content(tmp_path / "llm") == before
    assert len(server.requests) == requests


def test_strict_replay_imports_no_network_library(talk, server, tmp_path):
    server.will(Reply(GOOD))
    ask(talk())
    (tmp_path / "llm" / ".lock").unlink()
    code = f"""
import socket, sys
def refuse(*_, **__): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
from tmelt.llm import Conversation, LLMSettings, Spent
settings = LLMSettings(model="openai:test-model", max_tokens=1000)
conversation = Conversation(settings, {str(tmp_path / "llm")!r}, Spent(), "strict")
text = conversation.ask(system="You tune knobs.\\nBe brief.", user="Which knob?", parse=str, purpose="propose")
conversation.finish()
print(text, [name for name in ("langchain", "langchain_core", "openai", "httpx2", "ssl") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{GOOD} []\n", "")
    assert [path.name for path in (tmp_path / "llm").iterdir()] == ["01.json"]  # nor does it write


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"user": "Which other knob?"}, ["-  Which knob?", "+  Which other knob?"]),
        ({"system": "You tune knobs.\nBe verbose."}, ["-  Be brief.", "+  Be verbose."]),
        ({"temperature": 0.3}, ["-temperature: None", "+temperature: 0.3"]),
        ({"max_tokens": 999}, ["-max_tokens: 1000", "+max_tokens: 999"]),
        ({"extra": {"seed": 1}}, ["+seed: 1"]),
        ({"model": "openai:other"}, ["-model: openai:test-model", "+model: openai:other"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_strict_replay_shows_what_changed(talk, server, change, lines):
    server.will(Reply(GOOD))
    ask(talk())
    words = {key: change[key] for key in change if key in ("user", "system")}
    settings = {key: change[key] for key in change if key not in words}
    with pytest.raises(InputError) as caught:
        ask(talk(replay="strict", **settings), **words)
    shown = str(caught.value).split("\n")
    assert "strict replay: the request is not the recorded one" in shown[0]
    for line in lines:
        assert line in shown
    assert len(server.requests) == 1


def test_strict_replay_refuses_missing_surplus_and_reordered_calls(talk, server, tmp_path):
    server.will(Reply(GOOD))
    first = talk()
    ask(first, "one")
    ask(first, "two")

    short = talk(replay="strict")
    ask(short, "one")
    with pytest.raises(InputError, match=r"02\.json: strict replay: this recorded call was not asked for"):
        short.finish()
    ask(short, "two")
    with pytest.raises(InputError, match=r"03\.json: strict replay: this call \(propose\) is not recorded"):
        ask(short, "three")
    with pytest.raises(InputError, match="not the recorded one"):
        ask(talk(replay="strict"), "two")


def test_strict_replay_notices_another_reading_of_the_reply(talk, server):
    """A parser that accepts what was refused (or the other way round) changes the calls, hence is a drift."""
    server.will(Reply("No JSON."), Reply(GOOD))
    ask(talk())
    lenient = talk(replay="strict")
    ask(lenient, parse=str)
    with pytest.raises(InputError, match="not asked for"):
        lenient.finish()

    def fussy(text):
        raise ReplyError("never good enough")

    with pytest.raises(InputError, match="never good enough"):
        ask(talk(replay="strict"), parse=fussy)


def test_strict_replay_ends_at_the_budget_where_the_record_ends(talk, server):
    server.will(Reply(GOOD))
    first = talk(budget={"calls": 1})
    ask(first)
    with pytest.raises(BudgetSpent) as original:
        ask(first, "more")
    again = talk(replay="strict", budget={"calls": 1})
    ask(again)
    with pytest.raises(BudgetSpent) as replayed:
        ask(again, "more")
    assert str(replayed.value) == str(original.value)
    assert len(server.requests) == 1


def test_an_edited_transcript_is_refused(talk, server, tmp_path):
    server.will(Reply(GOOD))
    ask(talk())
    path = tmp_path / "llm" / "01.json"
    record = read_json(path)
    record["reply"]["text"] = '{"knob": 2}'
    write_json(path, record)
    for replay in ("strict", "fill"):
        with pytest.raises(InputError, match="changed after it was written"):
            ask(talk(replay=replay))


def test_fill_uses_what_is_recorded_and_calls_for_the_rest(talk, server, tmp_path):
    server.will(Reply(GOOD))
    ask(talk(), "one")
    again = talk()
    ask(again, "one")
    assert len(server.requests) == 1
    ask(again, "two")
    assert len(server.requests) == 2
    assert again.transcripts == ["01.json", "02.json"]


def test_fill_keeps_what_no_longer_fits_and_finds_it_again(talk, server, tmp_path):
    server.will(Reply('{"old": 1}'), Reply('{"new": 1}'))
    assert ask(talk(), "old") == {"old": 1}
    paid = (tmp_path / "llm" / "01.json").read_bytes()
    changed = talk()
    assert ask(changed, "new") == {"new": 1}
    assert (tmp_path / "llm" / "01.superseded-1.json").read_bytes() == paid
    assert (changed.calls, changed.prompt_tokens) == (2, 200)  # both were paid for
    assert ask(talk(), "old") == {"old": 1}
    assert (tmp_path / "llm" / "01.json").read_bytes() == paid
    assert ask(talk(), "new") == {"new": 1}
    assert len(server.requests) == 2
    assert len(content(tmp_path / "llm")) == 2


def test_fill_moves_left_over_calls_aside(talk, server, tmp_path):
    server.will(Reply("No JSON."), Reply(GOOD))
    ask(talk())
    lenient = talk()
    ask(lenient, parse=str)
    lenient.finish()
    assert sorted(content(tmp_path / "llm")) == ["01.json", "02.superseded-1.json"]
    strict = talk(replay="strict")
    ask(strict, parse=str)
    strict.finish()
    assert sums(strict) == sums(lenient)


def test_off_asks_anew_and_loses_nothing(talk, server, tmp_path):
    server.will(Reply('{"try": 1}'), Reply('{"try": 2}'), Reply('{"try": 3}'))
    assert [ask(talk(replay="off"))["try"] for _ in range(3)] == [1, 2, 3]
    texts = {name: json.loads(text)["reply"]["text"] for name, text in content(tmp_path / "llm").items()}
    assert texts == {
        "01.superseded-1.json": '{"try": 1}',
        "01.superseded-2.json": '{"try": 2}',
        "01.json": '{"try": 3}',
    }


CHILD = """
import sys, time
from pathlib import Path
from tmelt.llm import Conversation, LLMSettings, Spent
settings = LLMSettings.model_validate_json(sys.argv[1])
def parse(text):
    Path(sys.argv[3]).write_text(text)  # the reply is in our hands, the proposal is not written
    time.sleep(600)
Conversation(settings, Path(sys.argv[2]), Spent(), "fill").ask(
    system="You tune knobs.\\nBe brief.", user="Which knob?", parse=parse, purpose="propose")
"""


@pytest.fixture
def child(settings, tmp_path):
    """Starts the same conversation in a process of its own, to be killed."""
    running = []

    def start() -> subprocess.Popen:
        arguments = [settings().model_dump_json(), str(tmp_path / "llm"), str(tmp_path / "marker")]
        process = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], env=os.environ)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def wait_for(condition, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the child ended early"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.mark.slow
def test_a_kill_between_reply_and_use_costs_nothing(talk, server, tmp_path, child):
    server.will(Reply(GOOD))
    process = child()
    wait_for((tmp_path / "marker").exists, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    restarted = talk()
    assert ask(restarted) == {"knob": 1}
    assert server.paid == 1
    assert (restarted.calls, restarted.prompt_tokens) == (1, 100)


@pytest.mark.slow
def test_a_kill_between_request_and_reply_is_seen_and_counted(talk, server, tmp_path, child):
    server.will(Reply(GOOD, delay_s=600), Reply(GOOD))
    process = child()
    wait_for(server.received.is_set, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_record(tmp_path / "llm" / "01.pending.json")["attempts"][-1]["outcome"] == "in flight"

    with pytest.raises(BudgetSpent, match="1 spent"):  # not repeated beyond the budget
        ask(talk(budget={"calls": 1}))
    assert len(server.requests) == 1

    restarted = talk(budget={"calls": 2})
    assert ask(restarted) == {"knob": 1}
    assert len(server.requests) == 2
    assert (restarted.calls, restarted.prompt_tokens, restarted.cost_usd) == (2, None, None)
    attempts = read_record(tmp_path / "llm" / "01.json")["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["lost", "replied"]
    assert attempts[0]["error"] == "the process ended before a reply was recorded"
    assert sorted(content(tmp_path / "llm")) == ["01.json"]


@pytest.mark.slow
def test_an_orphan_and_its_successor_pay_once(talk, server, tmp_path, child):
    """Snakemake may be killed while its job lives on, and start the same job again."""
    server.will(Reply(GOOD, delay_s=1.0))
    process = child()
    wait_for(server.received.is_set, process)
    assert ask(talk()) == {"knob": 1}
    assert server.paid == 1
    process.kill()


def test_waiting_for_the_lock_is_bounded(tmp_path):
    with locked(tmp_path, 0), pytest.raises(InfrastructureError, match="another process"), locked(tmp_path, 0.1):
        pass


def test_a_journal_left_beside_its_answer_counts_once(talk, server, tmp_path):
    server.will(Reply(GOOD))
    ask(talk())
    record = read_record(tmp_path / "llm" / "01.json")
    write_record(tmp_path / "llm" / "01.pending.json", {**record, "reply": None, "usage": None, "cost_usd": None})
    again = talk()
    assert again.calls == 1
    assert ask(again) == {"knob": 1}
    assert sorted(content(tmp_path / "llm")) == ["01.json"]


@pytest.mark.parametrize(("mode", "user"), [("fill", "another question"), ("off", "Which knob?")])
def test_a_journal_left_beside_its_answer_is_no_lost_call_when_the_answer_moves_aside(
    talk, server, tmp_path, mode, user
):
    server.will(Reply(GOOD), Reply(GOOD))
    ask(talk())
    record = read_record(tmp_path / "llm" / "01.json")
    in_flight = [{**record["attempts"][0], "outcome": "in flight"}]
    unanswered = {"attempts": in_flight, "reply": None, "usage": None, "cost_usd": None}
    write_record(tmp_path / "llm" / "01.pending.json", {**record, **unanswered})
    again = talk(replay=mode)
    assert ask(again, user) == {"knob": 1}
    assert sorted(content(tmp_path / "llm")) == ["01.json", "01.superseded-1.json"]
    assert again.calls == 2 and again.cost_usd == 2 * record["cost_usd"]


def test_a_journal_of_another_request_moves_aside(talk, server, tmp_path):
    server.will(Reply(GOOD, drop_after=10))
    with pytest.raises(InfrastructureError):
        ask(talk(max_retries=0), "old")
    server.will(Reply(GOOD))
    changed = talk()
    assert ask(changed, "new") == {"knob": 1}
    assert sorted(content(tmp_path / "llm")) == ["01.json", "01.superseded-1.json"]
    assert (changed.calls, changed.cost_usd) == (2, None)


def test_replay_mode_is_checked(tmp_path):
    with pytest.raises(InputError, match="one of off, fill, strict"):
        Conversation(LLMSettings(model="openai:x"), tmp_path, Spent(), "stric")
