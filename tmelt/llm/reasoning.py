"""Separate reasoning from the answer in a reply's text, by a closed list of delimiters.

Where the API itself separates the two (tmelt.llm.arrival), the text holds no reasoning and passes unchanged. Nothing is
guessed: a delimiter counts unless it is quoted or stands within a line of a closed code block, and reasoning that does
not end is an error. The answer is what follows the last reasoning, because earlier passages may hold drafts.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tmelt.llm.errors import ReplyError

# Opening and closing delimiter of each family: what chat templates and models in use write.
_REASONING = (
    *(
        (rf"<{name}(?:\s[^<>\n]*)?>", rf"</{name}\s*>")
        for name in (
            "think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "analysis",
            "antthinking", "seed:think", "mm:think",
        )
    ),
    (r"\[THINK(?:ING)?\]", r"\[/THINK(?:ING)?\]"),
    (r"◁think▷", r"◁/think▷"),
    (
        r"<\|(?:begin|start)_(?:of_)?(?:think(?:ing)?|thought|reasoning)\|>",
        r"<\|end_(?:of_)?(?:think(?:ing)?|thought|reasoning)\|>",
    ),
    (r"<\|(?:think|thinking)\|>", r"<\|/(?:think|thinking)\|>"),
    (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    (r"<unused94>", r"<unused95>"),
    (r"<\|channel>thought\b", r"<channel\|>"),
    (r"(?m:^)Here(?: is|'s) my thought process:", r"Here(?: is|'s) my response:"),
)  # fmt: skip
_ANSWER = (
    *((rf"<{name}>", rf"</{name}>") for name in ("answer", "response", "final_answer")),
    (r"<\|begin_of_(?:solution|box)\|>", r"<\|end_of_(?:solution|box)\|>"),
    (r"<\|START_RESPONSE\|>", r"<\|END_RESPONSE\|>"),
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)(?:(?!<\|message\|>)[^\n]){0,200}<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
# The same where the server has removed the special tokens.
_BARE_CHANNELS = re.compile(r"\A\s*analysis.*assistant\s*final(.*)\Z", re.DOTALL)
FENCE = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)[ \t]*+([^\s`]*+)[^`\n]*+$", re.MULTILINE)
_QUOTES = "\"'`"
_MOST_TAGS = 200  # in one reply: what is done for each of them takes time


@dataclass(frozen=True)
class Split:
    """A reply in two parts."""

    reasoning: str  # empty where the text holds none
    answer: str
    marker: str | None = None  # the delimiter that ended the reasoning


@dataclass(frozen=True)
class _Tag:
    family: int
    opens: bool
    start: int
    end: int
    text: str


def _compiled(families: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    parts = [f"(?P<o{i}>{opening})|(?P<c{i}>{closing})" for i, (opening, closing) in enumerate(families)]
    return re.compile("|".join(parts), re.IGNORECASE)


_TAGS, _ANSWER_TAGS = _compiled(_REASONING), _compiled(_ANSWER)


def split_reasoning(text: str) -> Split:
    r"""Separate a reply's reasoning from its answer; \n ends the lines of `text`.

    Raises:
        ReplyError: the reasoning does not end, or no answer follows it.
    """
    if sum(1 for pattern in (_TAGS, _ANSWER_TAGS, _CHANNEL) for _ in pattern.finditer(text)) > _MOST_TAGS:
        raise ReplyError(f"more than {_MOST_TAGS} delimiters of reasoning; answer without them")
    if _is_json(text):  # delimiters in its strings are content
        return Split("", text)
    channels = _split_channels(text)
    split = channels or _split_tags(text)
    answer = _answer_in_tags(split.answer)
    if split.reasoning.strip() and not answer.strip():
        raise ReplyError("only reasoning and no answer after it; give the answer outside the reasoning")
    return Split(split.reasoning, answer, split.marker)


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _split_channels(text: str) -> Split | None:
    """A reply in OpenAI's Harmony format; None when it is not."""
    headers = [match for match in _CHANNEL.finditer(text) if not _quoted(text, match.start(), match.end())]
    if not headers:
        bare = _BARE_CHANNELS.match(text)
        return Split(text[: bare.start(1)], bare[1], "assistantfinal") if bare else None
    final = [match for match in headers if match[1] == "final"]
    if not final:
        raise ReplyError("only reasoning channels and no final channel; give the answer in the final channel")
    start = final[-1].end()
    end = _CHANNEL_END.search(text, start)
    return Split(text[: final[-1].start()], text[start : end.start() if end else len(text)], final[-1][0])


def _split_tags(text: str) -> Split:
    rest, kept, reasoning, marker = text, [], [], None
    while (tag := next(_delimiters(_TAGS, rest), None)) is not None:
        if tag.opens:
            closing = _closing(rest, tag)
            if closing is None:
                raise ReplyError(f"the reasoning opened by {tag.text} is never closed; no answer can be told from it")
            kept.append(rest[: tag.start])
            reasoning.append(rest[tag.end : closing.start])
            rest, marker = rest[closing.end :], closing.text
        else:  # the chat template opened it, before the reply
            reasoning += [*kept, rest[: tag.start]]
            rest, kept, marker = rest[tag.end :], [], tag.text
    if not rest.strip() and "".join(kept).strip():  # the reasoning came after the answer
        rest = "".join(kept)
    return Split("".join(reasoning), rest, marker)


def _closing(text: str, opening: _Tag) -> _Tag | None:
    """The delimiter that ends what `opening` began; code blocks do not count in reasoning, which may not close them."""
    for tag in _tags(_TAGS, text, opening.end):
        if tag.family == opening.family and not tag.opens and not _quoted(text, tag.start, tag.end):
            return tag
    return None


def _answer_in_tags(text: str) -> str:
    """What stands between the last delimiters of an answer, at the beginning of a line; `text` where there are none."""
    found = text
    for tag in _delimiters(_ANSWER_TAGS, text):
        if tag.opens and not text[: tag.start].rpartition("\n")[2].strip():
            ends = [
                other
                for other in _delimiters(_ANSWER_TAGS, text)
                if other.start >= tag.end and other.family == tag.family and not other.opens
            ]
            inner = text[tag.end : ends[0].start if ends else len(text)]
            found = inner if inner.strip() else found
    return found


def _delimiters(pattern: re.Pattern[str], text: str) -> Iterator[_Tag]:
    """The tags of a text that are no content: neither quoted nor within a line of a closed code block."""
    blocks: list[tuple[int, int]] | None = None
    for tag in _tags(pattern, text):
        if _quoted(text, tag.start, tag.end):
            continue
        blocks = _closed_blocks(text) if blocks is None else blocks
        inside = any(start <= tag.start < end for start, end in blocks)
        if not (inside and _within_a_line(text, tag)):
            yield tag


def _tags(pattern: re.Pattern[str], text: str, start: int = 0) -> Iterator[_Tag]:
    for match in pattern.finditer(text, start):
        name = match.lastgroup or ""
        yield _Tag(int(name[1:]), name[0] == "o", match.start(), match.end(), match[0])


def _quoted(text: str, start: int, end: int) -> bool:
    """Between two equal quotation marks, or two backticks that are no fence."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return bool(before) and before in _QUOTES and before == after and text[start - 2 : start] != "``"


def _within_a_line(text: str, tag: _Tag) -> bool:
    before = text[: tag.start].rpartition("\n")[2].strip(" \t`~")
    after = text[tag.end :].partition("\n")[0].strip()
    return bool(before and after) and not after.startswith(("```", "~~~"))


def _closed_blocks(text: str) -> list[tuple[int, int]]:
    """From opening to closing fence, by Markdown's rule.

    A block that is not closed does not count, nor one that seems to hold another's opening fence: reasoning often
    leaves its blocks open.
    """
    blocks: list[tuple[int, int]] = []
    opening: re.Match[str] | None = None
    nested = False
    for match in FENCE.finditer(text):
        if opening is None:
            opening, nested = match, False
        elif match[1][0] == opening[1][0] and len(match[1]) >= len(opening[1]):
            if match[2]:
                nested = True
            else:
                if not nested:
                    blocks.append((opening.start(), match.end()))
                opening = None
    return blocks
