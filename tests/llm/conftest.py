"""A server per test, and settings that point at it."""

from pathlib import Path

import pytest

from tmelt.llm import Conversation, LLMSettings, Spent
from tmelt.llm.dialect import DEFAULT, Dialect

from .server import ChatServer

KEY = "sk-test-THISKEYMUSTNEVERLEAK-0123456789"


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items):
    """`make check` asks by OpenAI's client alone; to import Anthropic's takes 2 CPU seconds."""
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if item.path.is_relative_to(Path(__file__).parent) and "anthropic" in parameters:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """Only the test's own key; no proxy between us and loopback."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("TEST_LLM_KEY", KEY)


@pytest.fixture
def server():
    with ChatServer() as running:
        yield running


@pytest.fixture
def settings(server):
    """Makes settings for the server; short pauses."""

    def make(provider: str = "openai", **changes) -> LLMSettings:
        return LLMSettings(
            **{
                "model": f"{provider}:test-model",
                "base_url": f"{server.url}/v1" if provider == "openai" else server.url,
                "api_key_env": "TEST_LLM_KEY",
                "max_tokens": 1000,
                "timeout_s": 20,
                "max_retries": 2,
                "backoff_s": 0.01,
                "price": {"input": 2.0, "output": 10.0},
                **changes,
            }
        )

    return make


@pytest.fixture
def talk(settings, tmp_path):
    """Makes a conversation with the server, in tmp_path/llm."""

    def make(
        provider: str = "openai",
        replay: str = "fill",
        spent: Spent | None = None,
        dialect: Dialect = DEFAULT,
        **changes,
    ) -> Conversation:
        return Conversation(settings(provider, **changes), tmp_path / "llm", spent or Spent(), replay, dialect=dialect)

    return make
