"""What came back from one call: first as JSON that can be recorded whatever it holds, then interpreted.

The order matters: a reply is on disk before anything is made of it, so that no odd reply that was paid for is lost.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tmelt.llm.usage import TokenCounts, believed

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

_CUT_OFF = {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}


@dataclass(frozen=True)
class Answer:
    """A reply in its parts."""

    text: str  # without the reasoning that the API keeps apart
    reasoning: str
    refusal: str | None
    tool_calls: tuple[str, ...]  # names
    error: str | None  # that the server reports beside, or instead of, the text
    finish_reason: str | None
    truncated: bool  # cut off at max_tokens
    reasoning_tokens: int | None
    usage: TokenCounts


def recordable(message: "AIMessage", noted: Mapping[str, Any], scrub: Callable[[str], str] = str) -> dict[str, Any]:
    """Return a reply as JSON, without the API key.

    Args:
        message: from the chat model.
        noted: what tmelt.llm.wire noted of the same reply.
        scrub: takes keys out of text.
    """
    raw = {
        "content": message.content,
        "reasoning": _reasoning_blocks(message),
        "tool_calls": [*message.tool_calls, *message.invalid_tool_calls],
        "additional_kwargs": message.additional_kwargs,
        "response_metadata": message.response_metadata,
        "usage_metadata": message.usage_metadata,
        "noted": dict(noted),
    }
    text = json.dumps(raw, default=str, ensure_ascii=False)
    return json.loads(_sound(scrub(text)), parse_constant=str)


def interpret(
    raw: Mapping[str, Any], messages: Sequence[Mapping[str, str]], max_tokens: int, answer_in: str = "text"
) -> Answer:
    """Read a recorded reply, whichever provider's form it has.

    Args:
        raw: from `recordable`.
        messages: the prompt.
        max_tokens: the cap that was sent.
        answer_in: `text`, or `reasoning` for a server that puts the whole reply there (tmelt.llm.probe finds out).
    """
    noted, extra = raw["noted"], raw["additional_kwargs"]
    metadata = raw["response_metadata"]
    text, refusal = _text(raw["content"])
    reasoning = str(noted.get("reasoning") or extra.get("reasoning_content") or raw["reasoning"] or "")
    refusal = refusal or noted.get("refusal") or extra.get("refusal")
    if answer_in == "reasoning" and not text.strip() and not refusal:
        text, reasoning = reasoning, ""
    finish = metadata.get("finish_reason") or metadata.get("stop_reason") or metadata.get("done_reason")
    if metadata.get("status") == "incomplete":
        finish = (metadata.get("incomplete_details") or {}).get("reason", "incomplete")
    calls = [str(call.get("name") or "unnamed") for call in raw["tool_calls"] if isinstance(call, dict)]
    if isinstance(extra.get("function_call"), dict):
        calls.append(str(extra["function_call"].get("name") or "unnamed"))
    usage = raw["usage_metadata"]
    details = usage.get("output_token_details") if isinstance(usage, dict) else None
    thinking = details.get("reasoning") if isinstance(details, dict) else None
    error = noted.get("error")
    return Answer(
        text=text,
        reasoning=reasoning,
        refusal=str(refusal) if refusal else None,
        tool_calls=tuple(calls),
        error=str(error.get("message") or error) if isinstance(error, dict) else str(error) if error else None,
        finish_reason=str(finish) if finish else None,
        truncated=str(finish).lower() in _CUT_OFF,
        reasoning_tokens=thinking if type(thinking) is int else None,
        usage=believed(usage, messages, max_tokens, text or reasoning),
    )


def _text(content: Any) -> tuple[str, str | None]:
    """Text and refusal of a message's content: a string, or blocks of several kinds."""
    if isinstance(content, str):
        return content, None
    text, refusal = "", None
    for block in content if isinstance(content, list) else []:
        if isinstance(block, str):
            text += block
        elif isinstance(block, dict) and isinstance(block.get("text"), str) and block.get("type", "text") == "text":
            text += block["text"]
        elif isinstance(block, dict) and block.get("type") == "refusal":
            refusal = str(block.get("refusal") or "no reason given")
    return text, refusal


def _reasoning_blocks(message: "AIMessage") -> str:
    """The reasoning in LangChain's standard content blocks."""
    try:
        blocks = message.content_blocks
    except Exception:  # a translator met a block that it does not know; the content is recorded as it is
        return ""
    return "\n".join(
        str(block["reasoning"]) for block in blocks if block.get("type") == "reasoning" and "reasoning" in block
    )


def _sound(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates, which JSON may carry, become replacement characters."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
