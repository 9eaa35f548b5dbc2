"""The probe of a model: servers with habits of their own, each found out and lived with, or refused in one line."""

import re

import pytest

from tmelt.errors import InputError
from tmelt.llm import Conversation, LLMSettings, Spent, extract_json
from tmelt.llm.dialect import Dialect, read_dialect
from tmelt.llm.model_id import model_id
from tmelt.llm.probe import probe_model
from tmelt.storage.files import read_json

from .server import ChatServer, Reply, answer_to_probe, cap_of, prompt_tokens

LONGEST = 13_000
GOOD = '{"knob": 1}'
WRONG = Reply("Unsupported parameter or value", status=400)


def settings_for(server, **changes) -> LLMSettings:
    return LLMSettings(
        **{
            "model": "openai:test-model", "base_url": f"{server.url}/v1", "api_key_env": "TEST_LLM_KEY",
            "max_tokens": 1000, "timeout_s": 20, "max_retries": 1, "backoff_s": 0.01,
            "price": {"input": 1, "output": 1},
            **changes,
        }
    )  # fmt: skip


def counting(request) -> bool:
    return request["body"]["messages"][-1]["content"].startswith("Count from 1 to 500")


def stream_only(request):
    return answer_to_probe(request) or Reply(GOOD) if request["body"].get("stream") else WRONG


def streams_without_usage(request):
    return WRONG if "stream_options" in request["body"] else stream_only(request)


def old_name_only(request):
    return WRONG if "max_completion_tokens" in request["body"] else answer_to_probe(request) or Reply(GOOD)


def ignores_new_name(request):
    """Cuts at 16 tokens of its own unless max_tokens is given."""
    cap = cap_of(request, "max_tokens") or 16
    reply = answer_to_probe(request) or Reply(GOOD)
    if counting(request) or cap < 20:
        return Reply(reply.text[: 4 * cap], finish="length", usage={"completion": cap})
    return reply


def all_in_reasoning(request):
    reply = answer_to_probe(request) or Reply(GOOD)
    return Reply(
        finish=reply.finish, usage=reply.usage, message={"content": None, "reasoning_content": f"{reply.text}"}
    )


def thinks_in_a_field(request):
    reply = answer_to_probe(request) or Reply(GOOD)
    return Reply(reply.text, finish=reply.finish, usage=reply.usage, message={"reasoning": "a thought {"})


def thinks_in_text(request):
    reply = answer_to_probe(request) or Reply(GOOD)
    return Reply(f'a draft {{"knob": 2}}</think>\n{reply.text}', finish=reply.finish, usage=reply.usage)


def no_usage(request):
    reply = answer_to_probe(request) or Reply(GOOD)
    return Reply(reply.text, finish=reply.finish, usage=None)


def sound(request):
    return answer_to_probe(request) or Reply(GOOD)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (sound, {"usage": "reported", "cap_obeyed": True}),
        pytest.param(stream_only, {"stream": True, "usage": "reported"}, marks=pytest.mark.slow),
        pytest.param(
            streams_without_usage, {"stream": True, "stream_usage": False, "usage": "unknown"}, marks=pytest.mark.slow
        ),
        pytest.param(old_name_only, {"cap": "max_tokens", "cap_obeyed": True}, marks=pytest.mark.slow),
        pytest.param(ignores_new_name, {"cap": "max_tokens", "cap_obeyed": True}, marks=pytest.mark.slow),
        pytest.param(all_in_reasoning, {"answer": "reasoning"}, marks=pytest.mark.slow),
        pytest.param(thinks_in_a_field, {"reasoning": "field"}, marks=pytest.mark.slow),
        pytest.param(thinks_in_text, {"reasoning": "</think>"}, marks=pytest.mark.slow),
        pytest.param(no_usage, {"usage": "unknown"}, marks=pytest.mark.slow),
    ],
)
def test_the_dialect_is_found_used_and_replayed(tmp_path, model, expected):
    with ChatServer(model=model) as server:
        settings = settings_for(server, budget={"tokens": 100_000})
        dialect = probe_model(settings, LONGEST, tmp_path / "probe")
        found = dialect.model_dump()
        assert {name: found[name] for name in expected} == expected
        assert dialect.seen_tokens > LONGEST / 10
        assert read_dialect(tmp_path / "probe" / "dialect.json") == dialect
        # used: a question of a search is answered at the first ask
        conversation = Conversation(settings, tmp_path / "llm", Spent(), dialect=dialect)
        assert conversation.ask(system="s", user="u", parse=extract_json, purpose="propose") == {"knob": 1}
        assert conversation.calls == 1
        sent = server.probes[-1]["body"]
        assert bool(sent.get("stream")) == dialect.stream
        assert cap_of({"body": sent}, "max_tokens" if dialect.cap == "max_tokens" else "max_completion_tokens") == 1000
    assert probe_model(settings, LONGEST, tmp_path / "probe", "strict") == dialect  # without a server


@pytest.mark.slow
def test_anthropic_is_probed_as_well(tmp_path):
    with ChatServer(model=sound) as server:
        settings = settings_for(server, model="anthropic:test-model", base_url=server.url)
        dialect = probe_model(settings, LONGEST, tmp_path)
    assert dialect.cap == "default" and dialect.cap_obeyed and dialect.usage == "reported"


def cuts_prompts(request):
    reply = answer_to_probe(request)
    if prompt_tokens(request["body"]) > 2048:
        return Reply("I see no code word.", usage={"prompt": 2048})
    return reply


def cuts_prompts_silently(request):
    return (
        Reply("I see no code word.", usage=None) if prompt_tokens(request["body"]) > 2048 else answer_to_probe(request)
    )


def refuses_long_prompts(request):
    if prompt_tokens(request["body"]) > 2048:
        return Reply("maximum context length is 2048 tokens", status=400)
    return answer_to_probe(request)


def never_ends(request):
    if counting(request):
        return Reply("\n".join(map(str, range(1, 501))), usage={"completion": 900})
    return answer_to_probe(request)


def only_thinks(request):
    return Reply(message={"content": None, "reasoning_content": "hm"}, finish="length", usage={"completion": 1000})


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (cuts_prompts, r"counts 2048 tokens, of at least \d+\); raise the server's context length"),
        (cuts_prompts_silently, "reports no token count"),
        (refuses_long_prompts, "maximum context length is 2048 tokens.*lower that"),
        (never_ends, "did not end there, so a budget could not be kept"),
        (only_thinks, "thinking used up all 1000 tokens"),
        (lambda _: Reply(""), "it is empty"),
        (lambda _: Reply("No.", finish="content_filter"), "refused to answer"),
        (lambda _: Reply("<think>hm"), "never closed"),
        (lambda _: Reply("no such model", status=404), "HTTP 404: no such model"),
        (lambda _: Reply("wrong", status=401), "refused the API key"),
        (lambda _: WRONG, "Unsupported parameter"),
    ],
)
def test_what_cannot_work_stops_in_one_line(tmp_path, model, reason):
    with (
        ChatServer(model=model) as server,
        pytest.raises(InputError, match=reason) as caught,
    ):
        probe_model(settings_for(server, budget={"tokens": 10**6}), LONGEST, tmp_path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("llm: openai:test-model: ")
    assert not (tmp_path / "dialect.json").exists()


def test_without_a_budget_a_cap_that_is_not_obeyed_is_only_recorded(tmp_path):
    with ChatServer(model=never_ends) as server:
        assert probe_model(settings_for(server), LONGEST, tmp_path).cap_obeyed is False
    assert read_json(tmp_path / "dialect.json")["calls"] == 4


def test_a_model_that_forgets_but_was_billed_in_full_is_taken(tmp_path):
    """A small model cannot repeat the word, and the count of tokens says that it saw the prompt."""

    def forgets(request):
        reply = answer_to_probe(request)
        return Reply("pebbles") if reply.text == "marigold" else reply

    with ChatServer(model=forgets) as server:
        assert probe_model(settings_for(server), LONGEST, tmp_path).seen_tokens > 0


def test_a_low_count_for_a_prompt_that_a_probe_showed_to_be_seen_is_no_cut(tmp_path):
    """Some servers count only what their cache did not hold."""
    with ChatServer() as server:
        server.will(Reply(GOOD, usage={"prompt": 5}))
        dialect = Dialect(seen_tokens=10_000)
        conversation = Conversation(settings_for(server), tmp_path, Spent(), dialect=dialect)
        assert conversation.ask(system="s", user="word " * 9000, parse=extract_json, purpose="x") == {"knob": 1}


def test_a_damaged_dialect_is_named(tmp_path):
    path = tmp_path / "dialect.json"
    path.write_text('{"dialect": {"stream": 7}}')
    with pytest.raises(InputError, match=re.escape(f"{path}: stream")):
        read_dialect(path)


def test_models_have_one_name_whatever_else_a_strategy_sets():
    options = {"model": "openai:x", "base_url": "http://h/v1"}
    assert model_id("ra", {"model": "playbook"}, 12_000) is None and model_id("ra", {}, 12_000) is None
    name = model_id("ra", options, 12_000)
    for kind, other in (
        ("centaur", {"memory_tokens": 12_000, "override": 0.2}), ("placebo", {"agent": "ra"}), ("obfuscated", {}),
    ):  # fmt: skip
        assert model_id(kind, {**options, **other}, 12_000) == name
    others = [{"base_url": "http://g/v1"}, {"max_tokens": 5}, {"memory_tokens": 6000}, {"extra": {"seed": 1}}]
    names = {model_id("ra", {**options, **other}, 12_000) for other in others}
    names |= {model_id("ua", options, 12_000), model_id("placebo", {**options, "agent": "ua_bo"}, 12_000)}
    assert len(names) == 5 and name not in names
