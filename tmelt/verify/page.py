"""Compare two pages: texts and drawings, section by section. Style sheet and script are no part of the comparison."""

from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

from tmelt.text.diff import LineMatcher
from tmelt.verify.group import Group, same_text

_UNCOMPARED = {"style", "script"}
_ANCHORED = {"section", "header", "figure", "article", "details"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_ALIGNED = 4000  # texts of a section that are aligned where one was added or removed


class _Reader(HTMLParser):
    """The texts and the tags of each section, in order; a section is named by the nearest anchor around it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: dict[str, list[str]] = {}
        self.tags: dict[str, list[str]] = {}
        self._open: list[tuple[str, str]] = [("page", "page")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "meta" and "http-equiv" in values:  # the policy has the hash of the script
            return
        spelled = " ".join([tag, *(f'{name}="{value}"' for name, value in sorted(values.items()))])
        self.tags.setdefault(self._place, []).append(spelled)
        if tag not in _VOID:
            anchored = values.get("id") if tag in _ANCHORED else None
            self._open.append((tag, anchored or (tag if tag == "header" else self._place)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        for place in range(len(self._open) - 1, 0, -1):
            if self._open[place][0] == tag:
                del self._open[place:]
                return

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and self._open[-1][0] not in _UNCOMPARED:
            self.texts.setdefault(self._place, []).append(text)

    @property
    def _place(self) -> str:
        return self._open[-1][1]


def compare_pages(group: Group, stored: Path, recomputed: Path) -> None:
    """Record every text of the stored page that is not the recomputed one, and every tag (drawings are made of them).

    Numbers inside texts and tags are compared by the group's tolerance.
    """
    ours, theirs = _read(stored), _read(recomputed)
    for section in dict.fromkeys([*ours.texts, *theirs.texts, *ours.tags, *theirs.tags]):
        before = group.total
        _compare(group, stored, section, "text", ours.texts.get(section, []), theirs.texts.get(section, []))
        if group.total == before:
            _compare(group, stored, section, "drawing", ours.tags.get(section, []), theirs.tags.get(section, []))


def compare_lines(group: Group, stored: Path, recomputed: Path) -> None:
    """Record every line of a text file that is not the recomputed one; numbers by the group's tolerance."""
    one, other = (path.read_text(encoding="utf-8", errors="replace").split("\n") for path in (stored, recomputed))
    _compare(group, stored, "", "line", one, other)


def _compare(group: Group, file: Path, row: str, what: str, stored: Sequence[str], recomputed: Sequence[str]) -> None:
    group.checked += max(len(stored), len(recomputed))
    if len(stored) != len(recomputed) and max(len(stored), len(recomputed)) > _ALIGNED:
        group.differs(file, row, f"number of {what}s", len(stored), len(recomputed))
        return
    for number, one, other in _pairs(stored, recomputed):
        if one is None or other is None or not same_text(one, other, group.tolerance):
            around = _difference(one, other)
            group.differs(file, row, f"{what} {number}", *around)


def _pairs(stored: Sequence[str], recomputed: Sequence[str]) -> Iterator[tuple[int, str | None, str | None]]:
    """(number in the stored text, stored, recomputed); None where only one of them has it."""
    if len(stored) == len(recomputed):
        yield from ((number, *pair) for number, pair in enumerate(zip(stored, recomputed, strict=True), 1))
        return
    for tag, low, high, start, end in LineMatcher(stored, recomputed).get_opcodes():
        if tag == "equal":
            continue
        for step in range(max(high - low, end - start)):
            one = stored[low + step] if low + step < high else None
            other = recomputed[start + step] if start + step < end else None
            yield low + step + 1, one, other


def _difference(stored: str | None, recomputed: str | None) -> tuple[str, str]:
    """Two texts without the beginning that they share, as far as it is long."""
    if stored is None or recomputed is None:
        return stored or "absent", recomputed or "absent"
    shared = next(
        (place for place, (one, other) in enumerate(zip(stored, recomputed, strict=False)) if one != other),
        min(len(stored), len(recomputed)),
    )
    start = max(0, shared - 30)
    lead = "…" if start else ""
    return f"“{lead}{stored[start:]}”", f"“{lead}{recomputed[start:]}”"


def _read(path: Path) -> _Reader:
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8", errors="replace"))
    reader.close()
    return reader
