"""Find the JSON, the script or the edits in a model's reply: exactly as written, or refused with a reason.

Nothing is repaired here. A trailing comma, a second candidate or an edit that fits in two places raises a ReplyError,
whose text tells the model what to change. A candidate that is only repeated counts once, because there is nothing to
choose between.
"""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tmelt.llm.errors import ReplyError
from tmelt.llm.reasoning import FENCE, split_reasoning

# Leading blanks do not count: a reply may be indented as a whole, or an edit be part of a list.
_SEARCH, _DIVIDE, _REPLACE = (
    re.compile(pattern)
    for pattern in (r"^([ \t]*)<{5,9} ?SEARCH\s*$", r"^[ \t]*={5,9}\s*$", r"^[ \t]*>{5,9} ?REPLACE\s*$")
)
# What resembles an edit, in other notations or misspelt.
_LIKE_AN_EDIT = re.compile(
    r"^[ \t>*-]*(<{3,} ?(SEARCH|ORIGINAL|HEAD|OLD|BEFORE|FIND)\b|>{3,} ?(REPLACE|UPDATED|NEW|AFTER)\b"
    r"|\*\*\* (Begin Patch|Update File)|diff --git |@@ -\d+.*@@|--- a/|\+\+\+ b/)",
    re.MULTILINE | re.IGNORECASE,
)


_MOST_BRACES = 200  # that a reply may have after its JSON, for each of them is tried
_ALIKE, _COMPARED, _MOST_EFFORT = 0.6, 200, 5_000_000  # similarity, characters of a line, about a second of comparing


@dataclass(frozen=True)
class Edit:
    """Whole lines to be replaced by other lines; both end with a newline, `replace` may be empty."""

    search: str
    replace: str
    indent: str = ""  # what stood before the markers: blanks of the reply's own, perhaps, before every line


@dataclass(frozen=True)
class _Block:
    language: str
    text: str
    line: int  # of the opening fence, from 1


def visible(text: str) -> str:
    r"""The answer of a reply, without reasoning (tmelt.llm.reasoning); \r\n and \r become \n.

    A script with a \r of its own would be another one when it is read back from its file.

    Raises:
        ReplyError: reasoning without an end or an answer.
    """
    return split_reasoning(text.replace("\r\n", "\n").replace("\r", "\n")).answer


def extract_json(text: str) -> Any:
    """The one JSON value of a reply: in a fenced block, bare, or with prose around it (then an object).

    Raises:
        ReplyError: none, several, or one that is not JSON (then with line, column and the offending text).
    """
    text = visible(text)
    blocks = _blocks(text)
    fenced = [block for block in blocks if block.language in ("json", "jsonc", "json5")]
    if not fenced:
        fenced = [block for block in blocks if not block.language and block.text.lstrip()[:1] in ("{", "[")]
    if len(fenced) > 1 and not _repeated(fenced):
        lines = ", ".join(str(block.line) for block in fenced[:10])
        raise ReplyError(
            f"{len(fenced)} JSON blocks that differ (lines {lines}), and none of them is marked as the answer; give "
            "exactly one"
        )
    body = fenced[0].text if fenced else text
    first = body.lstrip()[:1]
    start = body.find(first) if first == "[" else body.find("{")
    if start < 0:
        raise ReplyError("no JSON object in the reply; give one in a ```json block")
    value, end = _decode(body, start)
    after = body[end:]
    if fenced and after.strip():
        raise ReplyError(f"text after the JSON value inside its block: {_shorten(after.strip())}")
    if any(_spelled(other) != _spelled(value) for other in _objects(body, end)):
        raise ReplyError("two JSON objects that differ; give exactly one, in a ```json block")
    return value


def _repeated(blocks: Sequence[_Block]) -> bool:
    """Whether all blocks hold one and the same JSON value."""
    found = set()
    for block in blocks:
        try:
            value, end = _decode(block.text, len(block.text) - len(block.text.lstrip()))
        except ReplyError:
            return False
        if block.text[end:].strip():
            return False
        found.add(_spelled(value))
    return len(found) == 1


def _spelled(value: Any) -> str:
    """One spelling of a JSON value; Python's own equality takes 1 for true."""
    return json.dumps(value, sort_keys=True)


def _objects(text: str, start: int) -> Iterator[Any]:
    """The JSON objects in a text from `start` on; only so many braces are tried."""
    for _ in range(_MOST_BRACES):
        start = text.find("{", start)
        if start < 0:
            return
        try:
            value, start = _decode(text, start)
        except ReplyError:
            start += 1
            continue
        yield value


def extract_code(text: str) -> str:
    """The one Python script of a reply, from its ```python block (or its only unlabelled block).

    Raises:
        ReplyError: none, several, or a block that is not closed.
    """
    blocks = _blocks(visible(text))
    code = [block for block in blocks if block.language.lower() in ("python", "py", "python3")]
    if not code:
        code = [block for block in blocks if not block.language]
    if not code:
        raise ReplyError("no ```python block in the reply; give the whole script in one")
    if len({block.text for block in code}) > 1:
        lines = ", ".join(str(block.line) for block in code)
        raise ReplyError(f"{len(code)} code blocks (lines {lines}); give the whole script in exactly one")
    if not code[0].text.strip():
        raise ReplyError("the ```python block is empty")
    return code[0].text


def has_edits(text: str) -> bool:
    """Whether a reply holds the opening line of a search/replace block."""
    return any(_SEARCH.match(line) for line in visible(text).split("\n"))


def resembles_edits(text: str) -> bool:
    """Whether a reply holds lines of an edit in another notation, or with misspelt markers."""
    return bool(_LIKE_AN_EDIT.search(visible(text)))


def without_edits(text: str) -> str:
    """The answer of a reply without its search/replace blocks."""
    kept: list[str] = []
    inside = False
    for line in visible(text).split("\n"):
        inside = inside or bool(_SEARCH.match(line))
        if not inside:
            kept.append(line)
        inside = inside and not _REPLACE.match(line)
    return "\n".join(kept)


def extract_edits(text: str) -> list[Edit]:
    """The search/replace blocks of a reply, in order.

        <<<<<<< SEARCH
        lines as they are
        =======
        lines as they should be
        >>>>>>> REPLACE

    Raises:
        ReplyError: none, or one that is not complete, empty above its =======, or ambiguous.
    """
    edits: list[Edit] = []
    search: list[str] = []
    replace: list[str] = []
    part, opened, indent = None, 0, ""
    for number, line in enumerate(visible(text).split("\n"), 1):
        if match := _SEARCH.match(line):
            if part is not None:
                raise ReplyError(f"line {number}: a SEARCH block inside the one of line {opened}")
            part, opened, search, replace = search, number, [], []
            part, indent = search, match[1]
        elif part is None:
            if _REPLACE.match(line):
                raise ReplyError(f"line {number}: >>>>>>> REPLACE without a <<<<<<< SEARCH before it")
        elif _DIVIDE.match(line):
            if part is replace:
                raise ReplyError(f"line {number}: a second ======= in the block of line {opened}; split the edit there")
            part = replace
        elif _REPLACE.match(line):
            if part is search:
                raise ReplyError(f"line {number}: no ======= in the block of line {opened}")
            if not any(line.strip() for line in search):
                raise ReplyError(f"line {opened}: nothing to search for; give the lines to replace")
            edits.append(Edit(_joined(search), _joined(replace), indent))
            part = None
        else:
            part.append(line)
    if part is not None:
        raise ReplyError(f"the SEARCH block of line {opened} does not end with >>>>>>> REPLACE")
    if not edits:
        raise ReplyError("no <<<<<<< SEARCH / ======= / >>>>>>> REPLACE block in the reply")
    return edits


def apply_edits(source: str, edits: Sequence[Edit]) -> str:
    """`source` with the edits applied one after the other, each to the outcome of those before it.

    An edit whose markers are indented may be indented as a whole: then its lines count without that indentation, if
    they do not occur as they are.

    Raises:
        ReplyError: an edit whose lines occur not at all (the nearest ones are shown) or more than once.
    """
    lines = source.removesuffix("\n").split("\n")
    for number, edit in enumerate(edits, 1):
        versions = [edit, *_dedented(edit)]
        fitting = [(version, places) for version in versions if (places := _places(lines, version))]
        if not fitting:
            wanted = versions[-1].search.removesuffix("\n").split("\n")
            raise ReplyError(
                f"edit {number}: its SEARCH lines are not in the script, exactly as written{_nearest(lines, wanted)}"
            )
        fits = [place + 1 for _, places in fitting for place in places]
        if len(fits) > 1:
            found = ", ".join(map(str, fits[:10]))
            raise ReplyError(f"edit {number}: its SEARCH lines occur {len(fits)} times (lines {found}); add context")
        version, (place,) = fitting[0]
        replacement = version.replace.removesuffix("\n").split("\n") if version.replace else []
        lines[place : place + version.search.count("\n")] = replacement
    return "\n".join(lines) + "\n"


def _dedented(edit: Edit) -> list[Edit]:
    """The edit without the indentation of its markers, if each of its lines has that; else nothing."""
    texts = (edit.search, edit.replace)
    if not edit.indent or any(
        line.strip() and not line.startswith(edit.indent) for t in texts for line in t.split("\n")
    ):
        return []
    search, replace = (
        "\n".join(line.removeprefix(edit.indent) if line.strip() else "" for line in text.split("\n")) for text in texts
    )
    return [Edit(search, replace)]


def _places(lines: list[str], edit: Edit) -> list[int]:
    wanted = edit.search.removesuffix("\n").split("\n")
    return [i for i in range(len(lines) - len(wanted) + 1) if lines[i : i + len(wanted)] == wanted]


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _nearest(lines: list[str], wanted: list[str]) -> str:
    """The passage that resembles `wanted` most, with line numbers; empty when none does."""
    effort = _MOST_EFFORT
    for offset, line in enumerate(wanted):
        close, effort = _closest(line, lines, effort) if line.strip() else (None, effort)
        if close is not None:
            start = max(0, close - offset)
            passage = [f"{start + i + 1}: {text}" for i, text in enumerate(lines[start : start + len(wanted)][:20])]
            return "; the nearest are\n" + "\n".join(passage)
    return ""


def _closest(line: str, lines: list[str], effort: int) -> tuple[int | None, int]:
    """The place of the line that resembles `line` most, and what is left of the effort.

    Comparing two texts takes up to the cube of their lengths, and both may be made to take long.
    """
    matcher = difflib.SequenceMatcher(None, autojunk=False)
    matcher.set_seq2(line[:_COMPARED])
    best, place = _ALIKE, None
    for number, other in enumerate(lines):
        matcher.set_seq1(other[:_COMPARED])
        effort -= len(matcher.a) + len(matcher.b)
        if effort <= 0:
            break
        if matcher.real_quick_ratio() < best or matcher.quick_ratio() < best:
            continue
        effort -= len(matcher.a) * len(matcher.b) * min(len(matcher.a), len(matcher.b)) // 10
        if effort > 0 and (ratio := matcher.ratio()) >= best and (place is None or ratio > best):
            best, place = ratio, number
    return place, effort


def _blocks(text: str) -> list[_Block]:
    """Fenced blocks by Markdown's rule: closed by a fence of the same sign that is at least as long."""
    blocks: list[_Block] = []
    fence, language, opened, body = "", "", 0, []
    for number, line in enumerate(text.split("\n"), 1):
        match = FENCE.match(line)
        if not fence:
            if match:
                fence, language, opened, body = match[1], match[2].lower(), number, []
        elif match and match[1][0] == fence[0] and len(match[1]) >= len(fence) and not match[2]:
            blocks.append(_Block(language, _joined(body), opened))
            fence = ""
        else:
            body.append(line)
    if fence:
        raise ReplyError(f"the block opened in line {opened} ({fence}{language}) is not closed")
    return blocks


def _decode(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at `start`, and where it ends."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts = Counter(key for key, _ in pairs)
        for key, count in counts.items():
            if count > 1:
                raise ReplyError(f"the JSON has the key {key!r} twice in one object")
            if any("\ud800" <= letter <= "\udfff" for letter in key):  # a message that quotes it could not be recorded
                raise ReplyError(f"the JSON has the key {key!r}, which holds half a character")
        return dict(pairs)

    def no_constant(name: str) -> Any:
        raise ReplyError(f"the JSON has {name}, which is not a number")

    decoder = json.JSONDecoder(object_pairs_hook=unique, parse_constant=no_constant)
    try:
        return decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        line = text.split("\n")[error.lineno - 1] if text else ""
        excerpt = line[max(0, error.colno - 31) : error.colno + 29]
        raise ReplyError(
            f"not valid JSON at line {error.lineno}, column {error.colno}: {error.msg} (near {excerpt!r})"
        ) from None
    except RecursionError:
        raise ReplyError("the JSON is nested too deeply") from None
    except ReplyError:  # a ValueError as well
        raise
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise ReplyError("the JSON holds a number with thousands of digits") from None


def _shorten(text: str) -> str:
    return repr(text[:60] + "…" if len(text) > 60 else text)
