"""Accept a reply only when it is known to be complete, and name what is wrong with any other.

The words go to the model when it is asked again, and into the record and the error of a trial without a proposal.
"""

import re
from collections.abc import Mapping
from typing import Any

from tmelt.llm.errors import ReplyError
from tmelt.llm.reasoning import split_reasoning
from tmelt.text.safe import one_line

# What providers call a reply that ended by itself.
_COMPLETE = {
    "stop", "end_turn", "stop_sequence", "eos", "eos_token", "end", "complete", "completed", "finish_reason_stop",
}  # fmt: skip
_REFUSED = {
    "refusal", "content_filter", "content_filtered", "safety", "guardrail_intervened", "prohibited_content",
    "blocklist", "recitation", "spii", "moderation",
}  # fmt: skip
_TOOLS = {"tool_calls", "tool_call", "tool_use", "function_call"}
# Calls that a server has left in the text.
_CALL_IN_TEXT = re.compile(
    r"\A\s*(<tool_call>|<function[=_]|<\|python_tag\|>|\[TOOL_CALLS\]|<｜tool▁calls▁begin｜>|<\|tool_calls?_(section_)?begin\|>)"
)
_TEXT_ONLY = "answer in text, in the format asked for"


def usable_text(reply: Mapping[str, Any], max_tokens: int, completion_tokens: int | None = None) -> str:
    """Return the text of a recorded reply.

    Args:
        reply: of a transcript; those of older versions lack some keys.
        max_tokens: the cap that was sent.
        completion_tokens: of the reply, where known.

    Raises:
        ReplyError: it was cut off, refused, filtered, ended for an unknown reason, calls a tool or holds no answer.
    """
    text, finish = reply["text"], reply["finish_reason"]
    reasoning = reply.get("reasoning") or ""
    kind = (finish or "stop").lower().rpartition(".")[2]
    if reply.get("error"):
        raise ReplyError(f"the server reports an error beside it: {one_line(reply['error'])}")
    if reply["truncated"]:
        raise ReplyError(_cut(text, reasoning, reply.get("reasoning_tokens"), max_tokens, completion_tokens))
    if reply.get("refusal") or kind in _REFUSED:
        words = f": {one_line(reply['refusal'])}" if reply.get("refusal") else ""
        raise ReplyError(f"the model or its provider refused to answer (finish reason: {finish or 'not given'}){words}")
    calls = reply.get("tool_calls") or ()
    if calls or kind in _TOOLS or _CALL_IN_TEXT.match(text):
        named = f" ({one_line(', '.join(calls))})" if calls else ""
        raise ReplyError(f"it calls a tool{named}, but there are none; {_TEXT_ONLY}")
    if kind not in _COMPLETE:
        raise ReplyError(f"it may be incomplete: its finish reason, {one_line(finish)}, is not a known good one")
    if not text.strip():
        if reasoning.strip():
            raise ReplyError(f"it holds reasoning but no answer (finish reason: {finish or 'not given'}); {_TEXT_ONLY}")
        raise ReplyError(f"it is empty (finish reason: {finish or 'not given'})")
    return text


def _cut(text: str, reasoning: str, reasoning_tokens: int | None, max_tokens: int, used: int | None) -> str:
    """Why a reply is not complete."""
    if used is not None and used < max_tokens // 2:
        return (
            f"the server cut it off after {used} tokens, though max_tokens allows {max_tokens}: its own limit on"
            " replies, or on prompt and reply together, is lower; answer more briefly, but completely"
        )
    if _only_thought(text, reasoning, reasoning_tokens):
        return (
            f"thinking used up all {max_tokens} tokens and left no answer; think less"
            " (for the user: raise max_tokens, or lower the reasoning effort in `extra`)"
        )
    return f"it was cut off at the limit of {max_tokens} tokens; answer more briefly, but completely"


def _only_thought(text: str, reasoning: str, reasoning_tokens: int | None) -> bool:
    """Whether a reply that was cut off holds reasoning and no answer."""
    try:
        answer = split_reasoning(text).answer
    except ReplyError:  # reasoning without an end
        return True
    return not answer.strip() and bool(reasoning.strip() or reasoning_tokens)
