"""Tools before a reply: called through two providers' APIs or by blocks of text, bounded, recorded and replayed."""

import json

import pytest

from tmelt.errors import InputError
from tmelt.llm import NoUsableReply, extract_json
from tmelt.llm.dialect import Dialect
from tmelt.llm.model_id import longest_prompt, model_id
from tmelt.llm.probe import probe_model
from tmelt.llm.tool_record import tool_usage_of
from tmelt.llm.tools import ToolLimits, ToolResult, ToolSpec, calls_of
from tmelt.storage.files import read_json

from .server import ChatServer, Reply, answer_to_probe

ANSWER = Reply('{"knob": 1}')
LOOK = ToolSpec("look", "looks at a trial", {"n": {"type": "integer"}}, ("n",))


class Box:
    """One tool that says what it was asked, and counts how often it really ran."""

    specs = (LOOK,)

    def __init__(self, **limits):
        self.limits = ToolLimits(**limits)
        self.ran, self.noted = [], []

    def run(self, call, text):
        self.ran.append((call.name, dict(call.arguments)))
        return ToolResult(f"trial {call.arguments.get('n')} has 8.40", seconds=1.5, cpu_s=3.0)

    def note(self, call, text, result):
        self.noted.append(result.text)


def native_call(provider, *numbers):
    """A reply that calls `look` for each number."""
    if provider == "anthropic":
        blocks = [{"type": "tool_use", "id": f"id{n}", "name": "look", "input": {"n": n}} for n in numbers]
        return Reply(content=[{"type": "text", "text": "Let me see."}, *blocks], finish="tool_use")
    calls = [
        {"id": f"id{n}", "type": "function", "function": {"name": "look", "arguments": json.dumps({"n": n})}}
        for n in numbers
    ]
    return Reply(message={"content": None, "tool_calls": calls}, finish="tool_calls")


def written_call(*numbers):
    blocks = [f"```tool\n{json.dumps({'name': 'look', 'arguments': {'n': n}})}\n```" for n in numbers]
    return Reply("Let me see.\n\n" + "\n".join(blocks))


def tagged_call(*numbers):
    calls = [json.dumps({"name": "look", "arguments": {"n": n}}) for n in numbers]
    return Reply("".join(f"<tool_call>{call}</tool_call>" for call in calls))


def ask(conversation, box):
    return conversation.ask(system="s", user="u", parse=extract_json, purpose="propose", toolbox=box)


WAYS = {
    "openai": ("openai", lambda *n: native_call("openai", *n), "native"),
    "anthropic": ("anthropic", lambda *n: native_call("anthropic", *n), "native"),
    "text": ("openai", written_call, "text"),
    "tags": ("openai", tagged_call, "text"),
}


@pytest.mark.parametrize("way", WAYS)
def test_results_come_back_and_a_strict_replay_runs_nothing(talk, server, tmp_path, way):
    provider, call, tools = WAYS[way]
    dialect = Dialect(tools=tools)
    server.will(call(3), call(4, 5), ANSWER)
    box = Box()
    conversation = talk(provider, dialect=dialect)
    assert ask(conversation, box) == {"knob": 1}
    assert box.ran == [("look", {"n": n}) for n in (3, 4, 5)] and conversation.calls == 3
    used = conversation.tools_used
    assert (used.calls, used.seconds, used.cpu_s) == (3, 4.5, 9.0)
    last = json.dumps(server.requests[-1]["body"]["messages"])
    assert "trial 3 has 8.40" in last and "trial 5 has 8.40" in last and "(9 calls of tools are left.)" in last
    assert ("tools" in server.requests[0]["body"]) == (tools == "native")
    before = {path.name: path.read_bytes() for path in (tmp_path / "llm").iterdir()}
    assert {"01.tools.json", "02.tools.json"} <= before.keys()

    again = Box()
    replayed = talk(provider, replay="strict", dialect=dialect, base_url="http://127.0.0.1:9")
    assert ask(replayed, again) == {"knob": 1}
    assert again.ran == [] and again.noted == box.noted and replayed.tools_used == used
    assert {path.name: path.read_bytes() for path in (tmp_path / "llm").iterdir()} == before


def test_a_restart_finds_what_has_run(talk, server):
    server.will(written_call(3), Reply("busy", status=400))
    with pytest.raises(InputError):
        ask(talk(), Box())
    server.will(ANSWER)
    box = Box()
    assert ask(talk(), box) == {"knob": 1}
    assert box.ran == [] and box.noted == ["trial 3 has 8.40"]


def test_another_reply_runs_anew_and_what_was_spent_stays_on_the_account(talk, server, tmp_path):
    server.will(written_call(3), ANSWER)
    ask(talk(), Box())
    server.will(written_call(4), ANSWER)
    box = Box()
    conversation = talk(replay="off")
    ask(conversation, box)
    assert box.ran == [("look", {"n": 4})]
    assert conversation.tools_used.calls == 2 and tool_usage_of(tmp_path / "llm").seconds == 3.0


@pytest.mark.parametrize("way", WAYS)
def test_calls_beyond_the_limit_are_not_run_and_end_the_asking(talk, server, way):
    provider, call, tools = WAYS[way]
    server.will(call(1, 2, 3))
    box = Box(calls=2)
    with pytest.raises(NoUsableReply, match="calls a tool, but no calls are left"):
        ask(talk(provider, dialect=Dialect(tools=tools), max_asks=2), box)
    assert len(box.ran) == 2 and len(server.requests) == 3
    assert "no calls are left; reply with your proposal" in json.dumps(server.requests[1]["body"]["messages"])


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (Reply("```tool\n{not json\n```"), "the block is not JSON"),
        (Reply('```tool\n{"arguments": {}}\n```'), "the block needs"),
        (Reply('```tool\n{"name": "look", "arguments": [3]}\n```'), "is no JSON object"),
    ],
)
def test_a_call_of_the_wrong_form_is_told_and_not_run(talk, server, reply, fault):
    server.will(reply, ANSWER)
    box = Box()
    assert ask(talk(), box) == {"knob": 1}
    assert box.ran == [] and fault in json.dumps(server.requests[1]["body"]["messages"])


def test_a_strict_replay_refuses_a_record_that_is_missing_or_changed(talk, server, tmp_path):
    server.will(written_call(3), ANSWER)
    ask(talk(), Box())
    record = tmp_path / "llm" / "01.tools.json"
    text = record.read_text()
    record.write_text(text.replace("8.40", "7.40"))
    with pytest.raises(InputError, match="was changed after it was written"):
        ask(talk(replay="strict"), Box())
    record.unlink()
    with pytest.raises(InputError, match="use 1 of a tool is `look` now, and nothing is recorded"):
        ask(talk(replay="strict"), Box())


def test_without_tools_a_request_is_what_it_was(talk, server, tmp_path):
    server.will(ANSWER)
    talk(dialect=Dialect(tools="native")).ask(system="s", user="u", parse=extract_json, purpose="propose")
    assert "tools" not in read_json(tmp_path / "llm" / "01.json")["request"]
    assert "tools" not in server.requests[0]["body"]


def test_a_call_in_a_reply_that_was_cut_off_does_not_count():
    reply = {"text": written_call(3).text, "truncated": True, "raw": {"tool_calls": []}}
    assert calls_of(reply) == [] and len(calls_of(reply | {"truncated": False})) == 1
    thought = "<think>\n" + written_call(3).text + "\n</think>\nno"
    assert calls_of(reply | {"truncated": False, "text": thought}) == []


def test_a_model_with_tools_is_probed_by_itself_with_room_for_their_results():
    options = {"model": "openai:m", "memory_tokens": 9000}
    plain, without, with_tools = (
        model_id("ua", options | tools, 12_000) for tools in ({}, {"tools": "none"}, {"tools": {"tokens": 5000}})
    )
    assert plain == without != with_tools
    assert longest_prompt("ua", options | {"tools": {"tokens": 5000}}, 1) == longest_prompt("ua", options, 1) + 5000


def calls_the_tool(request):
    if "tools" in request["body"]:
        call = {"name": "note", "arguments": '{"word": "heliotrope"}'}
        return Reply(
            message={"content": None, "tool_calls": [{"id": "1", "type": "function", "function": call}]},
            finish="tool_calls",
        )
    return answer_to_probe(request)


def refuses_tools(request):
    return Reply("tools are not supported", status=400) if "tools" in request["body"] else answer_to_probe(request)


@pytest.mark.parametrize(
    ("model", "tools"), [(calls_the_tool, "native"), (answer_to_probe, "text"), (refuses_tools, "text")]
)
def test_a_probe_finds_out_how_tools_are_called(tmp_path, settings, model, tools):
    with ChatServer(model=model) as server:
        chosen = settings(base_url=f"{server.url}/v1", tools={"calls": 3})
        assert probe_model(chosen, 2000, tmp_path / "with").tools == tools
        assert probe_model(chosen.model_copy(update={"tools": None}), 2000, tmp_path / "without").tools == "text"
        assert sum("tools" in request["body"] for request in server.probes) == 1
    assert probe_model(chosen, 2000, tmp_path / "with", "strict").tools == tools
