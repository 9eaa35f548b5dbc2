"""Replies that look usable and are not, through the real clients: each is named for what it is, and asked again."""

import json

import pytest

from tmelt.errors import InputError
from tmelt.llm import NoUsableReply, extract_json
from tmelt.llm.transcript import charge_of, read_record

from .server import Reply

GOOD = '{"knob": 1}'
TOOL = {"id": "c1", "type": "function", "function": {"name": "train", "arguments": GOOD}}


def ask(conversation, parse=extract_json, user="Which knob?"):
    return conversation.ask(system="You tune knobs.", user=user, parse=parse, purpose="propose")


@pytest.mark.parametrize(
    ("provider", "reply", "reason"),
    [
        ("openai", Reply(GOOD, finish="content_filter"), "refused to answer"),
        ("openai", Reply(GOOD, finish="SAFETY"), "refused to answer"),
        ("openai", Reply(GOOD, finish="error"), "finish reason, error, is not a known good one"),
        ("openai", Reply(GOOD, finish="abort"), "is not a known good one"),
        ("openai", Reply(GOOD, finish="\x1b[2Jsurprise"), r"\\x1b\[2Jsurprise"),
        ("openai", Reply(GOOD, choice={"error": {"code": 502, "message": "upstream died"}}), "upstream died"),
        ("openai", Reply(GOOD, message={"refusal": "I must not."}), "refused to answer .*I must not"),
        ("openai", Reply(message={"content": None, "refusal": "No."}), "refused to answer .*No"),
        ("openai", Reply(message={"content": None, "tool_calls": [TOOL]}, finish="tool_calls"), "calls a tool .train"),
        ("openai", Reply(GOOD, message={"tool_calls": [TOOL]}), "calls a tool .train"),
        ("openai", Reply(f"<tool_call>\n{GOOD}\n</tool_call>"), "calls a tool"),
        ("openai", Reply(message={"content": None}), "it is empty"),
        ("openai", Reply(" \n"), "it is empty"),
        ("openai", Reply(message={"content": None, "reasoning_content": f"x {GOOD}"}), "reasoning but no answer"),
        ("openai", Reply(message={"content": "", "reasoning": f"x {GOOD}"}), "reasoning but no answer"),
        (
            "openai",
            Reply(message={"content": None, "reasoning_content": GOOD}, finish="length", usage={"completion": 1000}),
            "thinking used up all 1000 tokens",
        ),
        (
            "openai",
            Reply(f"<think>perhaps {GOOD}", finish="length", usage={"completion": 1000}),
            "thinking used up all 1000 tokens",
        ),
        ("openai", Reply(GOOD, finish="length", usage={"completion": 16}), "after 16 tokens, though max_tokens allows"),
        ("openai", Reply(GOOD, finish="length", usage={"completion": 1000}), "cut off at the limit of 1000 tokens"),
        (
            "openai",
            Reply('{"kn', message={"reasoning_content": "x"}, finish="length", usage={"completion": 1000}),
            "cut off at the limit of 1000 tokens",
        ),
        ("openai", Reply(f"<think>perhaps {GOOD}"), "never closed"),
        ("anthropic", Reply(GOOD, finish="refusal"), "refused to answer"),
        ("anthropic", Reply(GOOD, finish="pause_turn"), "is not a known good one"),
        ("anthropic", Reply(GOOD, finish="model_context_window_exceeded", usage={"completion": 999}), "cut off"),
        (
            "anthropic",
            Reply(content=[{"type": "tool_use", "id": "t", "name": "train", "input": {"knob": 1}}], finish="tool_use"),
            "calls a tool .train",
        ),
        (
            "anthropic",
            Reply(content=[{"type": "thinking", "thinking": GOOD, "signature": "s"}]),
            "reasoning but no answer",
        ),
        (
            "anthropic",
            Reply(
                content=[{"type": "thinking", "thinking": GOOD, "signature": "s"}],
                finish="max_tokens",
                usage={"completion": 1000},
            ),
            "thinking used up all 1000 tokens",
        ),
    ],
)
def test_an_unusable_reply_is_named_and_never_parsed(talk, server, tmp_path, provider, reply, reason):
    server.will(reply)
    parsed = []
    with pytest.raises(NoUsableReply, match=reason):
        ask(talk(provider, max_asks=1), lambda text: parsed.append(extract_json(text)))
    assert parsed == [] and len(server.requests) == 1
    record = read_record(tmp_path / "llm" / "01.json")
    assert record["attempts"][0]["outcome"] == "replied" and record["cost_usd"] is not None


@pytest.mark.parametrize("finish", ["stop", "STOP", "eos", "end_turn", "FinishReason.STOP", "completed"])
def test_known_good_finish_reasons_are_accepted(talk, server, finish):
    server.will(Reply(GOOD, finish=finish))
    assert ask(talk()) == {"knob": 1}


def test_no_finish_reason_is_accepted(talk, server):
    server.will(Reply(GOOD, choice={"finish_reason": None}))
    assert ask(talk()) == {"knob": 1}


@pytest.mark.parametrize(
    ("provider", "reply"),
    [
        ("openai", Reply(GOOD, message={"reasoning_content": '```json\n{"knob": 9}\n```'})),
        ("openai", Reply(GOOD, message={"reasoning": '{"knob": 9}'})),
        ("openai", Reply(f"rest</think>{GOOD}", message={"reasoning_content": '{"knob": 9}'})),
        (
            "openai",
            Reply(
                content=[
                    {"type": "thinking", "thinking": [{"type": "text", "text": '{"knob": 9}'}]},
                    {"type": "text", "text": GOOD},
                ]
            ),
        ),
        (
            "anthropic",
            Reply(
                content=[
                    {"type": "thinking", "thinking": '```json\n{"knob": 9}\n```', "signature": "s"},
                    {"type": "text", "text": GOOD},
                ]
            ),
        ),
    ],
)
def test_reasoning_that_the_api_keeps_apart_is_recorded_and_not_read(talk, server, tmp_path, provider, reply):
    server.will(reply)
    assert ask(talk(provider)) == {"knob": 1}
    assert '"knob\\": 9' in json.dumps(read_record(tmp_path / "llm" / "01.json")["reply"])


def test_a_prompt_that_the_server_has_cut_stops_the_search(talk, server):
    server.will(Reply(GOOD, usage={"prompt": 2048}))
    with pytest.raises(InputError, match=r"has cut the prompt: it counts 2048 tokens in 100\d\d\d characters.*num_ctx"):
        ask(talk(), user="knob 0.25 " * 10_000)
    assert len(server.requests) == 1


@pytest.mark.parametrize("text", ["word " * 20_000, "x" * 100_000, "0.25, " * 16_000, "ACDEFGHIKL" * 10_000])
def test_a_cut_is_noticed_whatever_the_text(talk, server, text):
    server.will(Reply(GOOD, usage={"prompt": 2048}))
    with pytest.raises(InputError, match="has cut the prompt"):
        ask(talk(), user=text)


@pytest.mark.parametrize("text", ["word " * 20_000, "=" * 100_000, " " * 100_000, "-" * 50_000 + "\n" * 50_000])
def test_text_that_tokenizers_join_is_no_cut(talk, server, text):
    server.will(Reply(GOOD, usage={"prompt": 12_000 if text[0] == "w" else 900}))
    assert ask(talk(), user=text) == {"knob": 1}


BAD_USAGE = [
    "-5", '"many"', "NaN", "Infinity", "1e30", "1" + "0" * 30, "1" + "0" * 5000, "true", "[1]", "{}", "1.5", '"100"',
]  # fmt: skip


@pytest.mark.parametrize("field", [0, 1])
@pytest.mark.parametrize("value", BAD_USAGE, ids=lambda value: value[:12])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_usage_that_cannot_be_true_is_unknown_and_the_reservation_counts(
    talk, server, tmp_path, provider, value, field
):
    names = ("prompt_tokens", "completion_tokens") if provider == "openai" else ("input_tokens", "output_tokens")
    numbers = [value, "20"] if field == 0 else ["100", value]
    usage = "{" + ", ".join(f'"{name}": {number}' for name, number in zip(names, numbers, strict=True)) + "}"
    server.will(Reply(GOOD, raw_usage=usage))
    conversation = talk(provider, budget={"usd": 0.5})
    assert ask(conversation) == {"knob": 1}
    assert len(server.requests) == 1  # the reply that was paid for is not lost
    record = read_record(tmp_path / "llm" / "01.json")
    assert None in (record["usage"]["prompt_tokens"], record["usage"]["completion_tokens"])
    assert record["cost_usd"] is None and conversation.cost_usd is None
    charge = charge_of(tmp_path / "llm")
    assert charge.usd == record["reserved"]["usd"] > 0
    assert charge.tokens > 0
    assert str(record["reply"]["raw"]["noted"]["usage"])  # kept as it came


@pytest.mark.parametrize("usage", ["7", '"x"', "[]", "[{}]", "false", "null", '{"prompt_tokens": null}', "{}"])
def test_a_usage_of_another_shape_is_unknown(talk, server, usage):
    server.will(Reply(GOOD, raw_usage=usage))
    conversation = talk()
    assert ask(conversation) == {"knob": 1}
    assert conversation.cost_usd is None and len(server.requests) == 1


def test_more_completion_tokens_than_the_cap_are_unknown(talk, server):
    server.will(Reply(GOOD, usage={"prompt": 100, "completion": 1001}))
    conversation = talk()
    ask(conversation)
    assert (conversation.prompt_tokens, conversation.completion_tokens) == (100, None)


def test_cached_tokens_beyond_the_prompt_do_not_make_it_cheaper(talk, server):
    server.will(Reply(GOOD, usage={"prompt": 100, "completion": 20, "cached": 10**6}))
    conversation = talk(price={"input": 2, "output": 10, "cached_input": 0.0})
    ask(conversation)
    assert conversation.cost_usd == pytest.approx((100 * 2 + 20 * 10) / 1e6)


def test_a_reply_is_on_disk_before_it_is_interpreted(talk, server, tmp_path, monkeypatch):
    server.will(Reply(GOOD))

    def broken(*_):
        raise RuntimeError("our own mistake")

    monkeypatch.setattr("tmelt.llm.conversation.interpret", broken)
    with pytest.raises(RuntimeError):
        ask(talk())
    assert GOOD in read_record(tmp_path / "llm" / "01.pending.json")["received"]["content"]
    monkeypatch.undo()
    monkeypatch.setenv("TEST_LLM_KEY", "sk-another")
    conversation = talk()
    assert ask(conversation) == {"knob": 1}
    assert len(server.requests) == 1 and conversation.calls == 1  # paid once


def test_a_reply_that_was_never_interpreted_is_charged_all_the_same(talk, server, tmp_path, monkeypatch):
    server.will(Reply(GOOD))
    monkeypatch.setattr("tmelt.llm.conversation.interpret", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ask(talk())
    monkeypatch.undo()
    monkeypatch.setenv("TEST_LLM_KEY", "sk-another")
    reserved = read_record(tmp_path / "llm" / "01.pending.json")["reserved"]
    conversation = talk()
    ask(conversation, user="Another question?")
    assert (len(server.requests), conversation.calls, conversation.cost_usd) == (2, 2, None)
    charge = charge_of(tmp_path / "llm")
    assert charge.tokens == reserved["prompt_tokens"] + reserved["completion_tokens"] + 120


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused(talk, server, provider, status):
    server.will(Reply(status=status, body="", headers={"Location": "https://elsewhere.example/\x7f?q=1"}))
    with pytest.raises(InputError, match=rf"HTTP {status}: the server redirects to https://elsewhere"):
        ask(talk(provider))
    assert len(server.requests) == 1


def test_what_a_server_says_cannot_reach_the_terminal_as_commands(talk, server):
    server.will(Reply("\x1b[2J\x07done\u202e\u2066 <script>x</script>\x00", status=400))
    with pytest.raises(InputError) as caught:
        ask(talk())
    assert str(caught.value).isprintable() and "\\x1b[2J" in str(caught.value)
