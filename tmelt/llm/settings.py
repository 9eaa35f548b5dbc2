"""Which model to ask, how, and how much it may cost: what all agents' strategies have as options."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tmelt.llm.tools import ToolLimits

# Set elsewhere in these settings, or able to carry a key, or to change how replies are counted and recorded.
_NOT_EXTRA = {
    "model", "model_name", "model_provider", "base_url", "temperature", "max_tokens", "max_completion_tokens",
    "max_tokens_to_sample", "max_output_tokens", "n", "best_of", "candidate_count",
    "timeout", "request_timeout", "default_request_timeout", "max_retries", "cache", "callbacks", "verbose",
    "streaming", "stream", "disable_streaming", "http_client", "http_async_client", "use_previous_response_id",
    "configurable_fields", "config_prefix", "rate_limiter",
}  # fmt: skip
_PASSED_ON = ("model_kwargs", "extra_body")  # extras whose content goes into the request as it is
_SECRET = re.compile(
    r"(api|access|private)_?key|header|secret|password|passwd|passphrase|authorization|credential"
    r"|(auth|access|session|refresh|bearer|(^|_)id|(^|_)ad)_?token$|^token$",
    re.IGNORECASE,
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Price(_Part):
    """USD per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(None, ge=0, description="of prompt tokens read from the provider's cache")


class CallBudget(_Part):
    """What all calls of one trajectory may cost together; what is left out is not limited."""

    usd: float | None = Field(None, gt=0)
    tokens: int | None = Field(None, gt=0, description="prompt and completion together")
    calls: int | None = Field(None, gt=0, description="requests that were, or may have been, billed")


class LLMSettings(_Part):
    """How the model is asked. A change of model, temperature, max_tokens or extra is a drift to a replay."""

    model: str = Field(description="provider:name as LangChain's init_chat_model takes it, or `playbook` (scripted)")
    base_url: str | None = Field(None, description="another server of the same API: vLLM, Ollama's /v1, a gateway")
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="environment variable with the key; null for the provider's own one, or for none with a base_url",
    )
    temperature: float | None = Field(None, ge=0, description="null for the provider's default")
    max_tokens: int = Field(8192, ge=1, description="longest reply, in tokens (thinking included)")
    timeout_s: float = Field(300, gt=0, description="wall-clock seconds of one request")
    max_retries: int = Field(6, ge=0, description="further tries of a call after a passing failure")
    max_wait_s: float = Field(1800, gt=0, description="from a call's first try; a longer outage fails the job")
    backoff_s: float = Field(1.0, gt=0, description="first pause between tries; it doubles up to a minute")
    max_asks: int = Field(3, ge=1, description="asks per question: the first, and again after unusable replies")
    price: Price | None = Field(None, description="overrides the price file")
    budget: CallBudget | None = Field(None, description="of each trajectory")
    tools: ToolLimits | None = Field(
        None, description="tools that the agent may use before it proposes, and their limits; none: it has none"
    )
    extra: dict[str, Any] = Field(default_factory=dict, description="further parameters of the LangChain chat model")

    @field_validator("model")
    @classmethod
    def _named(cls, model: str) -> str:
        provider, colon, name = model.partition(":")
        if model != "playbook" and not (provider and colon and name):
            raise ValueError(f"{model!r}: write provider:name, such as openai:gpt-5-nano, or playbook")
        return model

    @field_validator("tools", mode="before")
    @classmethod
    def _spelled_out(cls, tools: Any) -> Any:
        """`none` as a word, which YAML does not take for null."""
        return None if tools == "none" else tools

    @field_validator("base_url")
    @classmethod
    def _without_secret(cls, base_url: str | None) -> str | None:
        if base_url is not None:
            parts = urlsplit(base_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("write http://host[:port]/path")
            if parts.username is not None or parts.query or parts.fragment:
                raise ValueError("no user name, password or query here; a key comes from api_key_env")
        return base_url

    @field_validator("extra")
    @classmethod
    def _harmless(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for part in (extra, *(extra[name] for name in _PASSED_ON if isinstance(extra.get(name), dict))):
            if taken := sorted(_NOT_EXTRA & part.keys()):
                raise ValueError(f"{taken[0]} cannot be set here")
        if secret := _secret_key(extra):
            raise ValueError(f"{secret} may hold a key; keys come from the environment only, see api_key_env")
        try:
            json.dumps(extra, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"only what JSON can hold ({error})") from None
        return extra

    @property
    def scripted(self) -> bool:
        """Whether the replies come from the offline playbook and not from a language model."""
        return self.model == "playbook"

    @property
    def parameters(self) -> dict[str, Any]:
        """What, beside model and messages, decides about the reply: part of the request's identity."""
        return {"temperature": self.temperature, "max_tokens": self.max_tokens, **self.extra}


def _secret_key(value: Any) -> str | None:
    """The first key at any depth whose name suggests a secret."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if _SECRET.search(str(key)):
                return str(key)
            if found := _secret_key(inner):
                return found
    if isinstance(value, list):
        return next(filter(None, map(_secret_key, value)), None)
    return None
