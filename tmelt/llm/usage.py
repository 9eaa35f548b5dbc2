"""Token counts that a server reports: believed only as far as they can be true.

Unknown usage is never 0: the reservation made before the call counts then (tmelt.llm.budget).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_OWN_PROMPT = 65_536  # tokens that a server may add: a system prompt, tools, a chat template
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+")
_RUN = re.compile(r"([^\w\s])\1{3,}")


@dataclass(frozen=True)
class TokenCounts:
    """What one call used, in tokens; None where unknown."""

    prompt: int | None
    completion: int | None
    cached: int = 0  # part of prompt that the provider read from its cache


def believed(usage: Any, messages: Sequence[Mapping[str, str]], max_tokens: int, text: str) -> TokenCounts:
    """Return what can be true of a reported usage.

    Args:
        usage: LangChain's `usage_metadata`, or anything else.
        messages: the prompt.
        max_tokens: the most that the reply could have.
        text: the reply; one with text has tokens.
    """
    usage = usage if isinstance(usage, Mapping) else {}
    longest = sum(len(message["content"].encode("utf-8", "surrogatepass")) for message in messages) + _OWN_PROMPT
    prompt = whole(usage.get("input_tokens"), longest) or None
    completion = whole(usage.get("output_tokens"), max_tokens)
    if prompt is None or (completion == 0 and text):
        completion = None
    details = usage.get("input_token_details")
    cached = whole(details.get("cache_read"), prompt or 0) if isinstance(details, Mapping) else None
    return TokenCounts(prompt, completion, cached or 0)


def whole(value: Any, most: int) -> int | None:
    """Return `value` as a whole number from 0 to `most`; None when it is something else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return int(value) if value == int(value) else None


def least_tokens(messages: Sequence[Mapping[str, str]]) -> int:
    """Return fewer tokens than any tokenizer in use makes of a prompt.

    On average over a prompt a token holds at most three words, or one and a half runs of digits, and at most 24
    characters other than blanks. Repeated punctuation counts once, because some tokenizers join long runs of it.
    """
    words = numbers = characters = 0
    for message in messages:
        text = _RUN.sub(r"\1", message["content"])
        words += len(_WORD.findall(text))
        numbers += len(_NUMBER.findall(text))
        characters += len("".join(text.split()))
    return max(words // 3 + 2 * numbers // 3, characters // 24)
