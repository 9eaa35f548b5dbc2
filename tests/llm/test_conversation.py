"""Conversations with a real server, through langchain-openai and langchain-anthropic."""

import json
import logging
import os
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tmelt.errors import InfrastructureError, InputError
from tmelt.llm import Conversation, NoUsableReply, Spent, extract_json
from tmelt.llm.chat import _STANDARD_KEY, Chat
from tmelt.llm.transcript import read_record
from tmelt.storage.files import read_json

from .conftest import KEY
from .server import Reply

PROVIDERS = ["openai", "anthropic"]
GOOD = '{"knob": 1}'


def ask(conversation, parse=extract_json):
    return conversation.ask(system="You tune knobs.", user="Which knob?", parse=parse, purpose="propose")


def transcript(tmp_path, name="01.json"):
    return read_record(tmp_path / "llm" / name)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_good_answer_is_recorded(talk, server, tmp_path, provider):
    server.will(Reply(f"Sure:\n```json\n{GOOD}\n```", usage={"prompt": 100, "completion": 20}))
    conversation = talk(provider, temperature=0.5, extra={"top_p": 0.9})
    assert ask(conversation) == {"knob": 1}
    assert conversation.transcripts == ["01.json"]
    assert (conversation.calls, conversation.prompt_tokens, conversation.completion_tokens) == (1, 100, 20)
    assert conversation.cost_usd == pytest.approx((100 * 2 + 20 * 10) / 1e6)

    record = transcript(tmp_path)
    assert record["request"]["messages"] == [
        {"role": "system", "content": "You tune knobs."},
        {"role": "user", "content": "Which knob?"},
    ]
    assert record["request"]["parameters"] == {"temperature": 0.5, "max_tokens": 1000, "top_p": 0.9}
    assert record["reply"]["text"].startswith("Sure:")
    assert record["reply"]["finish_reason"] in ("stop", "end_turn")
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["replied"]
    assert record["versions"][f"langchain-{provider}"]
    assert sorted(path.name for path in (tmp_path / "llm").iterdir()) == [".lock", "01.json"]

    sent = server.requests[0]["body"]
    assert (sent["temperature"], sent["top_p"]) == (0.5, 0.9)
    assert sent.get("max_completion_tokens", sent.get("max_tokens")) == 1000
    assert KEY in json.dumps(server.requests[0]["headers"])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_malformed_replies_are_asked_again_with_the_reason(talk, server, tmp_path, provider):
    server.will(Reply('{"knob": 1,}'), Reply("No JSON here."), Reply(GOOD))
    conversation = talk(provider)
    assert ask(conversation) == {"knob": 1}
    assert conversation.transcripts == ["01.json", "02.json", "03.json"]
    assert conversation.calls == 3
    messages = transcript(tmp_path, "03.json")["request"]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[2]["content"] == '{"knob": 1,}'
    assert "line 1, column 12" in messages[3]["content"]
    assert "no JSON object" in messages[5]["content"]


def test_asks_are_bounded(talk, server):
    server.will(Reply("No."))
    with pytest.raises(NoUsableReply) as caught:
        ask(talk(max_asks=2))
    assert len(caught.value.errors) == 2
    assert len(server.requests) == 2


@pytest.mark.parametrize(("provider", "finish"), [("openai", "length"), ("anthropic", "max_tokens")])
def test_a_truncated_reply_is_not_parsed(talk, server, tmp_path, provider, finish):
    server.will(Reply(GOOD, finish=finish, usage={"completion": 1000}), Reply(GOOD))
    parsed = []
    conversation = talk(provider)
    assert ask(conversation, lambda text: parsed.append(text) or extract_json(text)) == {"knob": 1}
    assert len(parsed) == 1
    assert transcript(tmp_path)["reply"]["truncated"] is True
    assert (
        "cut off at the limit of 1000 tokens" in transcript(tmp_path, "02.json")["request"]["messages"][-1]["content"]
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_empty_reply_is_asked_again(talk, server, provider):
    server.will(Reply(""), Reply(GOOD))
    assert ask(talk(provider)) == {"knob": 1}
    assert "it is empty" in json.dumps(server.requests[1]["body"])


@pytest.mark.slow
def test_thinking_blocks_become_text_and_are_kept(talk, server, tmp_path):
    thought = {"type": "thinking", "thinking": "hmm {", "signature": "s"}
    blocks = [thought, {"type": "text", "text": '{"knob"'}, {"type": "text", "text": ": 1}"}]
    server.will(Reply(content=blocks))
    assert ask(talk("anthropic")) == {"knob": 1}
    record = transcript(tmp_path)
    assert record["reply"]["text"] == GOOD
    assert record["reply"]["raw"]["content"][0]["thinking"] == "hmm {"


def test_cached_prompt_tokens_have_their_own_price(talk, server):
    server.will(Reply(GOOD, usage={"prompt": 100, "completion": 20, "cached": 60}))
    conversation = talk(price={"input": 2, "output": 10, "cached_input": 0.5})
    ask(conversation)
    assert conversation.cost_usd == pytest.approx((40 * 2 + 60 * 0.5 + 20 * 10) / 1e6)


def test_text_that_utf8_cannot_hold_is_recorded_all_the_same(talk, server, tmp_path):
    server.will(Reply("lone \ud800 surrogate"))
    assert "surrogate" in ask(talk(), str)
    assert "surrogate" in transcript(tmp_path)["reply"]["text"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("bad", "outcome", "reason"),
    [
        (Reply("slow down", status=429), "rejected", "HTTP 429: slow down"),
        (Reply("boom", status=500), "rejected", "HTTP 500: boom"),
        (Reply("busy", status=529), "rejected", "HTTP 529: busy"),
        (
            Reply(status=502, body="<html><title>Bad gateway</title><p>x", content_type="text/html"),
            "rejected",
            "HTTP 502: Bad gateway",
        ),
        (Reply(body="<html><title>Login</title>", content_type="text/html"), "lost", "not in the API's format"),
        (Reply(body='{"id": '), "lost", "not in the API's format"),
        (Reply(GOOD, drop_after=40), "lost", "the connection failed"),
        (Reply(GOOD, delay_s=30), "lost", "timed out"),
        (Reply(GOOD, trickle_s=0.2), "lost", "timed out"),
    ],
    ids=["429", "500", "529", "html502", "html200", "garbled", "dropped", "silent", "trickling"],
)
def test_passing_failures_are_tried_again(talk, server, tmp_path, provider, bad, outcome, reason):
    server.will(bad, Reply(GOOD))
    conversation = talk(provider, timeout_s=0.5 if bad.delay_s or bad.trickle_s else 20)
    assert ask(conversation) == {"knob": 1}
    assert len(server.requests) == 2
    attempts = transcript(tmp_path)["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == [outcome, "replied"]
    assert reason in attempts[0]["error"]
    # a reply that may have been produced and billed makes the cost unknown; an error status does not
    assert conversation.calls == (2 if outcome == "lost" else 1)
    assert (conversation.cost_usd is None) == (outcome == "lost")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(talk, server, tmp_path, provider, form, monkeypatch):
    pauses = []
    monkeypatch.setattr("tmelt.llm.retry.time.sleep", pauses.append)
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    server.will(Reply("slow", status=429, headers={"Retry-After": "90" if form == "seconds" else when}), Reply(GOOD))
    assert ask(talk(provider)) == {"knob": 1}
    assert len(pauses) == 1
    assert 85 < pauses[0] < 95


def test_a_wait_longer_than_allowed_ends_the_job_and_keeps_the_journal(talk, server, tmp_path):
    server.will(Reply("slow", status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(InfrastructureError, match=r"after 1 try .* slow; .* to wait 3600 s, max_wait_s allows 60 s"):
        ask(talk(max_wait_s=60))
    journal = transcript(tmp_path, "01.pending.json")
    assert [attempt["outcome"] for attempt in journal["attempts"]] == ["rejected"]
    server.will(Reply(GOOD))
    assert ask(talk(max_wait_s=60)) == {"knob": 1}
    assert [attempt["outcome"] for attempt in transcript(tmp_path)["attempts"]] == ["rejected", "replied"]
    assert not (tmp_path / "llm" / "01.pending.json").exists()


def test_retries_are_bounded_and_seen(talk, server, caplog):
    server.will(Reply("boom", status=500))
    with pytest.raises(InfrastructureError, match="after 3 tries"):
        ask(talk(max_retries=2))
    assert len(server.requests) == 3
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "llm: openai:test-model: HTTP 500: boom"
    ] * 2


def test_a_server_that_is_not_there_costs_nothing(talk):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    conversation = talk(base_url=url, max_retries=1)
    with pytest.raises(InfrastructureError, match="the connection failed"):
        ask(conversation)
    assert (conversation.calls, conversation.cost_usd) == (0, 0.0)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_a_person_must_mend_fails_at_once(talk, server, provider, status):
    server.will(Reply(f"wrong: {KEY}", status=status))
    with pytest.raises(InputError, match=f"HTTP {status}") as caught:
        ask(talk(provider))
    assert len(server.requests) == 1
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_spent_credit_is_not_waited_for(talk, server):
    body = json.dumps({"error": {"message": "quota", "code": "insufficient_quota", "type": "insufficient_quota"}})
    server.will(Reply(status=429, body=body))
    with pytest.raises(InputError, match="no credit"):
        ask(talk())
    assert len(server.requests) == 1


def test_a_missing_key_is_named_before_anything_is_sent(talk, server, monkeypatch, tmp_path):
    monkeypatch.delenv("TEST_LLM_KEY")
    with pytest.raises(InputError, match="TEST_LLM_KEY, which is not set"):
        ask(talk())
    with pytest.raises(InputError, match="OPENAI_API_KEY, which is not set"):
        ask(talk(api_key_env=None, base_url=None))
    assert server.requests == []
    assert list((tmp_path / "llm").glob("*.json")) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_standard_key_is_not_sent_to_a_base_url(talk, server, provider, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", KEY)
    server.will(Reply(GOOD))
    ask(talk(provider, api_key_env=None))
    assert KEY not in json.dumps(server.requests[0]["headers"])


@pytest.mark.parametrize("provider", sorted(_STANDARD_KEY))
def test_no_client_finds_the_standard_key_in_the_environment_for_a_base_url(settings, provider, monkeypatch):
    """Those whose packages are not installed here, too: what their client is given instead, it does not look for."""
    given = {}
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda name, **arguments: given.update(arguments))
    Chat(settings(provider, api_key_env=None, base_url="http://localhost:1/v1"))
    assert (given["api_key"], given["base_url"]) == ("not-needed", "http://localhost:1/v1")
    Chat(settings(provider))
    assert given["api_key"] == KEY


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_key_leaks_nowhere(talk, server, tmp_path, caplog, capfd, provider):
    """Not even when the server quotes it: in a reply, an error, thinking blocks, a 401."""
    caplog.set_level(logging.DEBUG)
    echo = [{"type": "text", "text": f"your key is {KEY}"}] if provider == "anthropic" else None
    errors = []
    for replies in (
        [Reply(f"boom {KEY}", status=500), Reply(f"your key is {KEY}", content=echo, headers={"X-Key": KEY})],
        [Reply(f"boom {KEY}", status=503)],
        [Reply(f"Incorrect API key provided: {KEY}", status=401)],
        [Reply(f"bad request {KEY}", status=400)],
        [Reply(body=f"<html>{KEY}</html>", content_type="text/html")],
        [Reply(GOOD, delay_s=30)],
    ):
        server.will(*replies)
        conversation = talk(provider, replay="off", max_retries=1, timeout_s=0.6 if replies[0].delay_s else 20)
        try:
            text = conversation.ask(system="s", user="u", parse=str, purpose="leak")
            assert text == "your key is [key]"
        except (InputError, InfrastructureError) as error:
            link = error
            while link is not None:
                errors.append(f"{link!r} {link.__notes__ if hasattr(link, '__notes__') else ''}")
                link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    assert len(errors) == 5
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert b"[key]" in b"".join(written.values())
    assert [path for path, content in written.items() if KEY.encode() in content] == []
    assert KEY not in "".join(errors)
    assert KEY not in caplog.text
    assert KEY not in "".join(capfd.readouterr())
    assert "Authorization" not in b"".join(written.values()).decode()


def test_tracing_is_off_whatever_the_environment_says(talk, server, monkeypatch):
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGSMITH_GATEWAY"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", server.url)
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_x")
    server.will(Reply(GOOD))
    ask(talk())
    from langsmith.utils import get_env_var

    get_env_var.cache_clear()
    assert os.environ["LANGSMITH_TRACING"] == "false"
    assert [request["path"] for request in server.requests] == ["/v1/chat/completions"]


def test_the_playbook_needs_no_price_key_or_journal(settings, tmp_path):
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    model = GenericFakeChatModel(messages=iter([AIMessage("No."), AIMessage(GOOD)]))
    scripted = settings(model="playbook", base_url=None, api_key_env=None, price=None, budget={"usd": 1})
    conversation = Conversation(scripted, tmp_path / "llm", Spent(), "fill", model=model)
    assert ask(conversation) == {"knob": 1}
    assert (conversation.calls, conversation.prompt_tokens, conversation.cost_usd) == (2, None, 0.0)


def test_an_error_of_the_playbook_is_not_an_outage(settings, tmp_path):
    from langchain_core.language_models import GenericFakeChatModel

    model = GenericFakeChatModel(messages=iter([]))
    conversation = Conversation(settings(model="playbook"), tmp_path / "llm", Spent(), "fill", model=model)
    with pytest.raises(Exception) as caught:
        ask(conversation)
    assert not isinstance(caught.value, InputError | InfrastructureError)
    assert conversation.calls == 0


def test_an_unknown_parameter_is_a_persons_mistake(talk, server):
    with pytest.raises(InputError, match="nonsense"):
        ask(talk(extra={"model_kwargs": {"nonsense": 1}}))
    assert server.requests == []


def test_parse_sees_exactly_the_text_and_other_errors_pass_through(talk, server):
    server.will(Reply("  as it is \n"))
    assert ask(talk(), lambda text: text) == "  as it is \n"

    def broken(text):
        raise RuntimeError("our own mistake")

    with pytest.raises(RuntimeError):
        ask(talk(replay="off"), broken)


def test_transcripts_are_readable_json(talk, server, tmp_path):
    server.will(Reply(GOOD))
    ask(talk())
    record = read_json(tmp_path / "llm" / "01.json")
    assert record["format"] == 1
