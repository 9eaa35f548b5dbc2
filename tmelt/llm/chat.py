"""Build a LangChain chat model from the settings and read its replies: with the playbook, all that uses LangChain."""

import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypeVar

from tmelt.errors import InputError
from tmelt.llm.settings import LLMSettings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage

T = TypeVar("T")
_STANDARD_KEY = {
    "anthropic": "ANTHROPIC_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "google_genai": "GOOGLE_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "together": "TOGETHER_API_KEY",
    "xai": "XAI_API_KEY",
}
# Given where no key is due: without one, clients take the provider's own from the environment, or fail.
_NO_KEY = "not-needed"
_CUT_OFF = {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
# Their debug logs hold headers and prompts; OPENAI_LOG or ANTHROPIC_LOG may have switched them on.
_TALKATIVE = ("anthropic", "httpcore", "httpcore2", "httpx", "httpx2", "langsmith", "openai")
_PACKAGES = ("tmelt", "langchain", "langchain-core", "langchain-openai", "langchain-anthropic", "openai", "anthropic")


@dataclass(frozen=True)
class Answer:
    """What came back from one call."""

    text: str
    finish_reason: str | None
    truncated: bool  # cut off at max_tokens
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int  # part of prompt_tokens that the provider read from its cache
    raw: Mapping[str, Any]  # content blocks and metadata as they came


class Chat:
    """One chat model, ready to be asked."""

    def __init__(self, settings: LLMSettings, model: "BaseChatModel | None" = None, search_seed: int = 0):
        """Build the model; nothing is sent yet.

        Raises:
            InputError: no key in the environment, a missing package or a parameter that the model does not take.
        """
        forbid_tracing()
        self._timeout_s = settings.timeout_s
        self.key = None if settings.scripted or model is not None else api_key(settings)
        self.remote = not settings.scripted
        if model is not None:
            self._model = model
        elif settings.scripted:
            from tmelt.llm.playbook import Playbook

            self._model = Playbook(search_seed=search_seed)
        else:
            self._model = _build(settings, self.key)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)

    def scrub(self, text: str) -> str:
        """`text` without the API key."""
        return text.replace(self.key, "[key]") if self.key else text

    def send(self, messages: Sequence[Mapping[str, str]]) -> Answer:
        """Ask once. Exceptions are the provider's own, or TimeoutError when the whole reply took too long.

        The clients' time-outs count from byte to byte, so a trickling reply would never end: hence our own clock.
        """
        from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
        from langsmith import tracing_context

        kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
        prompt = [kinds[message["role"]](content=message["content"]) for message in messages]

        def invoke() -> "AIMessage":
            with tracing_context(enabled=False):
                return self._model.invoke(prompt, config={"callbacks": []})

        if not self.remote:
            return read_answer(invoke(), self.scrub)
        slack_s = min(5.0, 0.2 * self._timeout_s)  # lets the client's own time-out come first
        return read_answer(_within(self._timeout_s + slack_s, invoke), self.scrub)


def forbid_tracing() -> None:
    """Switch LangSmith's tracing and gateway off for this process: prompts and replies go to the provider alone."""
    for name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2", "LANGSMITH_GATEWAY"):
        os.environ[name] = "false"
    os.environ.pop("LANGCHAIN_TRACING", None)  # its mere presence is an error in LangChain 1


def api_key(settings: LLMSettings) -> str | None:
    """The key from the environment; None where the server needs none.

    A provider's standard key never goes to a `base_url`, which may belong to somebody else: name it in `api_key_env`.

    Raises:
        InputError: the variable is not set.
    """
    provider = settings.model.partition(":")[0]
    name = settings.api_key_env or (None if settings.base_url else _STANDARD_KEY.get(provider))
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise InputError(f"llm: {settings.model} needs an API key in the environment variable {name}, which is not set")
    return key


def library_versions() -> dict[str, str]:
    """Versions of what a reply passes through."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def read_answer(message: "AIMessage", scrub: Callable[[str], str] = str) -> Answer:
    """The text, finish reason and usage of a reply, whichever provider's form they have.

    Content may be a list of blocks (thinking, text): the text blocks are joined, all are kept in `raw`. Usage that is
    missing, or that counts no token where there was text, is unknown.
    """
    text = _sound(scrub(str(message.text)))
    metadata = message.response_metadata or {}
    finish = metadata.get("finish_reason") or metadata.get("stop_reason") or metadata.get("done_reason")
    if metadata.get("status") == "incomplete":
        finish = (metadata.get("incomplete_details") or {}).get("reason", "incomplete")
    usage: Mapping[str, Any] = message.usage_metadata or {}
    prompt_tokens = usage.get("input_tokens") or None
    completion_tokens = usage.get("output_tokens")
    if prompt_tokens is None or (completion_tokens == 0 and text):
        completion_tokens = None
    cached = (usage.get("input_token_details") or {}).get("cache_read") or 0
    raw = {"response_metadata": metadata, "usage_metadata": message.usage_metadata}
    if not isinstance(message.content, str):
        raw["content"] = message.content
    if message.additional_kwargs:
        raw["additional_kwargs"] = message.additional_kwargs
    plain = _sound(scrub(json.dumps(raw, default=str, ensure_ascii=False)))
    return Answer(
        text=text,
        finish_reason=str(finish) if finish else None,
        truncated=str(finish).lower() in _CUT_OFF,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cached_tokens=cached,
        raw=json.loads(plain, parse_constant=str),
    )


def _build(settings: LLMSettings, key: str | None) -> "BaseChatModel":
    provider, _, name = settings.model.partition(":")
    arguments: dict[str, Any] = {
        "max_tokens": settings.max_tokens,
        "timeout": settings.timeout_s,
        "max_retries": 0,
        "cache": False,
        "disable_streaming": True,
    }
    if settings.temperature is not None:
        arguments["temperature"] = settings.temperature
    if settings.base_url is not None:
        arguments["base_url"] = settings.base_url
    if key is not None:
        arguments["api_key"] = key
    elif settings.base_url and provider in _STANDARD_KEY:
        arguments["api_key"] = _NO_KEY
    try:
        from langchain.chat_models import init_chat_model

        return init_chat_model(name, model_provider=provider, **arguments, **settings.extra)
    except ImportError as error:
        raise InputError(f"llm: {settings.model}: a package is missing ({error})") from None
    except Exception as error:  # pydantic's and the clients' own kinds: all speak of these arguments
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"llm: {settings.model} cannot be set up: {reason.replace(key, '[key]') if key else reason}"
        ) from None


def _within(seconds: float, function: Callable[[], T]) -> T:
    """`function()`, or TimeoutError after so many seconds; a late outcome is dropped with its daemon thread."""
    box: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            box.put((function(), None))
        except BaseException as error:
            box.put((None, error))

    threading.Thread(target=work, daemon=True, name="llm-call").start()
    try:
        value, error = box.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no complete reply within {seconds:.3g} s") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def _sound(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates, which JSON may carry, become replacement characters."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
