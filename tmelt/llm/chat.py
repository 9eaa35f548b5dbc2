"""Build a LangChain chat model from the settings and ask it: all that uses LangChain but the playbook."""

import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypeVar

from tmelt.errors import InputError
from tmelt.llm.arrival import recordable
from tmelt.llm.dialect import DEFAULT, Dialect
from tmelt.llm.settings import LLMSettings
from tmelt.llm.wire import Wire
from tmelt.text.safe import one_line

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage

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
# What LangChain's class calls max_tokens, where it drops that name without a word.
_CAP = {"ollama": "num_predict"}
# Their debug logs hold headers and prompts; OPENAI_LOG or ANTHROPIC_LOG may have switched them on.
_TALKATIVE = ("anthropic", "httpcore", "httpcore2", "httpx", "httpx2", "langsmith", "openai")
_PACKAGES = ("tmelt", "langchain", "langchain-core", "langchain-openai", "langchain-anthropic", "openai", "anthropic")


class Chat:
    """One chat model, ready to be asked."""

    def __init__(
        self,
        settings: LLMSettings,
        model: "BaseChatModel | None" = None,
        dialect: Dialect = DEFAULT,
    ):
        """Build the model; nothing is sent yet.

        Args:
            settings: the model, its server and parameters.
            model: a LangChain chat model instead of the one that the settings name.
            dialect: how the server wants to be asked.

        Raises:
            InputError: no key in the environment, a missing package or a parameter that the model does not take.
        """
        forbid_tracing()
        self._timeout_s = settings.timeout_s
        self._wire = Wire()
        self.key = None if settings.scripted or model is not None else api_key(settings)
        self.remote = not settings.scripted
        if model is not None:
            self._model = model
        elif settings.scripted:
            raise ValueError("a scripted model is given by the caller")
        else:
            self._model = _build(settings, self.key, dialect, self._wire)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)

    def scrub(self, text: str) -> str:
        """`text` without the API key."""
        return text.replace(self.key, "[key]") if self.key else text

    def send(
        self,
        messages: Sequence[Mapping[str, Any]],
        offered: Sequence[Mapping[str, Any]] = (),
        briefing: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Ask once and return the reply as JSON to record (tmelt.llm.arrival), without the key.

        Args:
            messages: role and content of each; calls of tools and their results where there are any.
            offered: native tools (tmelt.llm.tools.ToolSpec.native).

        Exceptions are the provider's own, or TimeoutError when the whole reply took too long. The clients' time-outs
        count from byte to byte, so a trickling reply would never end: hence our own clock.
        """
        from langsmith import tracing_context

        prompt = [_as_langchain(message) for message in messages]
        model = self._model.bind_tools([dict(tool) for tool in offered]) if offered else self._model
        beside = {} if briefing is None else {"briefing": briefing}  # of a scripted model

        def invoke() -> "AIMessage":
            with tracing_context(enabled=False):
                return model.invoke(prompt, config={"callbacks": []}, **beside)

        if not self.remote:
            return recordable(invoke(), {}, self.scrub)
        slack_s = min(5.0, 0.2 * self._timeout_s)  # lets the client's own time-out come first
        message = _within(self._timeout_s + slack_s, invoke)
        return recordable(message, self._wire.noted, self.scrub)


def _as_langchain(message: Mapping[str, Any]) -> "BaseMessage":
    """A recorded message as LangChain's."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    role, content = message["role"], message["content"]
    if role == "tool":
        return ToolMessage(content=content, tool_call_id=message["tool_call_id"], name=message["name"])
    if "tool_calls" in message:
        calls = [{**call, "type": "tool_call"} for call in message["tool_calls"]]
        return AIMessage(content=message.get("blocks", content), tool_calls=calls)
    kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return kinds[role](content=content)


def forbid_tracing() -> None:
    """Switch LangSmith's tracing and gateway off for this process: prompts and replies go to the provider alone."""
    for name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2", "LANGSMITH_GATEWAY"):
        os.environ[name] = "false"
    os.environ.pop("LANGCHAIN_TRACING", None)  # its mere presence is an error in LangChain 1


def api_key(settings: LLMSettings) -> str | None:
    """The key from the environment; None where the server needs none.

    A provider's standard key never goes to a `base_url`, which may belong to another company: name it in `api_key_env`.

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


def _build(settings: LLMSettings, key: str | None, dialect: Dialect, wire: Wire) -> "BaseChatModel":
    provider, _, name = settings.model.partition(":")
    arguments: dict[str, Any] = {
        _CAP.get(provider, "max_tokens"): settings.max_tokens,
        "timeout": settings.timeout_s,
        "max_retries": 0,
        "cache": False,
        "disable_streaming": not dialect.stream,
    }
    extra = dict(settings.extra)
    if settings.temperature is not None:
        arguments["temperature"] = settings.temperature
    if settings.base_url is not None:
        arguments["base_url"] = settings.base_url
    if key is not None:
        arguments["api_key"] = key
    elif settings.base_url and provider in _STANDARD_KEY:
        arguments["api_key"] = _NO_KEY
    if dialect.stream:
        arguments["streaming"] = True
        if provider == "openai":
            arguments["stream_usage"] = dialect.stream_usage
    if provider == "openai":
        import openai

        arguments["http_client"] = wire.client(openai.DefaultHttpxClient, timeout=settings.timeout_s)
        if dialect.cap == "max_tokens":  # LangChain renames it to max_completion_tokens
            del arguments["max_tokens"]
            extra["extra_body"] = {**(extra.get("extra_body") or {}), "max_tokens": settings.max_tokens}
    try:
        from langchain.chat_models import init_chat_model

        model = init_chat_model(name, model_provider=provider, **arguments, **extra)
        if hasattr(model, "_client_params"):  # Anthropic's
            _listen_to_anthropic(model, wire)
        return model
    except ImportError as error:
        raise InputError(f"llm: {settings.model}: a package is missing ({error})") from None
    except Exception as error:  # pydantic's and the clients' own kinds: all speak of these arguments
        reason = one_line(error)
        raise InputError(
            f"llm: {settings.model} cannot be set up: {reason.replace(key, '[key]') if key else reason}"
        ) from None


def _listen_to_anthropic(model: Any, wire: Wire) -> None:
    """Give the model our HTTP client; LangChain's class has no parameter for it, only a cached property."""
    import anthropic

    parameters = model._client_params
    client = wire.client(
        anthropic.DefaultHttpxClient, base_url=parameters["base_url"], timeout=parameters.get("timeout")
    )
    model.__dict__["_client"] = anthropic.Client(**parameters, http_client=client)


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
