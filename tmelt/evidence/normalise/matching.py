"""Two programs side by side: what differs, part by part, and whether only constants do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tmelt.evidence.normalise.lower import Block, Const
from tmelt.evidence.normalise.program import ENTRIES, MODULE, Program
from tmelt.evidence.normalise.scopes import Unsure, Var

_CALLS = ("call", "purecall", "method")
_HEAVIEST = 1000


@dataclass(frozen=True)
class Mismatch:
    """One place at which two programs differ."""

    part: str  # name of the function, method, class or constant
    kind: Literal["constant", "structure"]
    weight: int  # size of what differs
    knob: str | None = None  # the knob that stands on one side, or whose value stands on the first
    value: Any = None  # the constant on the other side


class _Pairs:
    """A one-to-one correspondence that grows as it is used."""

    def __init__(self) -> None:
        self._there: dict[Any, Any] = {}
        self._back: dict[Any, Any] = {}

    def add(self, one: Any, other: Any) -> bool:
        """True if the two correspond, or neither had a counterpart."""
        return self._there.setdefault(one, other) == other and self._back.setdefault(other, one) == one

    @property
    def seconds(self) -> set[Any]:
        """Those of the second side that have a counterpart."""
        return set(self._back)


def mismatches(first: Program, second: Program) -> list[Mismatch]:
    """All places at which two programs differ; none for programs that are the same but for names and order.

    Raises:
        Unsure: they are nested too deeply.
    """
    if first.text == second.text:
        return []
    try:
        return _Matching(first, second).run()
    except RecursionError:
        raise Unsure("too deep") from None


class _Matching:
    def __init__(self, first: Program, second: Program) -> None:
        self._programs = first, second
        self._found: list[Mismatch] = []
        self._globals = _Pairs()
        self._waiting: list[tuple[str, str]] = []

    def run(self) -> list[Mismatch]:
        first, second = self._programs
        for name in (*ENTRIES, MODULE):
            self._pair(name, name)
        done: set[str] = set()
        while self._waiting:
            one, other = self._waiting.pop(0)
            if one in done:
                continue
            done.add(one)
            self._part = one
            self._vars = _Pairs()
            if one in first.parts and other in second.parts:
                self._compare(first.parts[one], second.parts[other])
            elif one in first.parts or other in second.parts or one != other:
                self._add("structure", 1)
        for name in first.parts:
            if name not in done:
                self._found.append(Mismatch(name, "structure", _size(first.parts[name])))
        for name in second.parts:
            if name not in self._globals.seconds:
                self._found.append(Mismatch(name, "structure", _size(second.parts[name])))
        return self._found

    def _pair(self, one: str, other: str) -> bool:
        new = self._globals.add(one, other)
        if new:
            self._waiting.append((one, other))
        return new

    def _add(self, kind: Literal["constant", "structure"], weight: int, knob: str | None = None, value: Any = None):
        self._found.append(Mismatch(self._part, kind, weight, knob, value))

    def _compare(self, one: Any, other: Any) -> None:
        if isinstance(one, Var) and isinstance(other, Var):
            if not self._vars.add(one.root, other.root):
                self._add("structure", 1)
        elif isinstance(one, Const) and isinstance(other, Const):
            if not _equal(one, other):
                self._add("constant", 1, one.knob, other.value)
        elif _is(one, "knob") and isinstance(other, Const):
            self._add("constant", 1, one[1], other.value)
        elif isinstance(one, Const) and _is(other, "knob"):
            self._add("constant", 1, other[1], one.value)
        elif _is(one, "knob") and _is(other, "knob"):
            if one != other:
                self._add("structure", 1)
        elif _is(one, "global") and _is(other, "global"):
            if not self._pair(one[1], other[1]):
                self._add("structure", 1)
        elif isinstance(one, Block) and isinstance(other, Block):
            self._blocks(one, other)
        elif isinstance(one, tuple) and isinstance(other, tuple):
            self._tuples(one, other)
        elif one != other or type(one) is not type(other):
            self._add("structure", _size(one) + _size(other))

    def _tuples(self, one: tuple, other: tuple) -> None:
        tag = one[0] if one and isinstance(one[0], str) else None
        if tag != (other[0] if other and isinstance(other[0], str) else None):
            self._add("structure", _size(one) + _size(other))
        elif tag == "class" and len(one) == len(other) == 5:
            for place in range(1, 4):
                self._compare(one[place], other[place])
            self._methods(dict(one[4]), dict(other[4]))
        elif tag in _CALLS and len(one) == len(other):
            for left, right in zip(one[1:-1], other[1:-1], strict=True):
                self._compare(left, right)
            self._named(one[-1], other[-1])
        elif len(one) != len(other):
            self._add("structure", _size(one) + _size(other))
        else:
            for left, right in zip(one, other, strict=True):
                self._compare(left, right)

    def _methods(self, one: Mapping[str, tuple], other: Mapping[str, tuple]) -> None:
        whole = self._part
        for name in [*one, *(name for name in other if name not in one)]:
            self._part = f"{whole}.{name}"
            self._vars = _Pairs()
            if name in one and name in other:
                self._compare(one[name], other[name])
            else:
                self._add("structure", _size(one.get(name, other.get(name))))
        self._part = whole

    def _named(self, one: tuple, other: tuple) -> None:
        """Arguments by name: a constant one that only one side has is a difference of constants."""
        names, others = [name for name, _ in one], [name for name, _ in other]
        if names == others:
            for (_, left), (_, right) in zip(one, other, strict=True):
                self._compare(left, right)
            return
        if len({*names}) < len(names) or len({*others}) < len(others):
            self._add("structure", _size(one) + _size(other))
            return
        left, right = dict(one), dict(other)
        for name in [*left, *(name for name in right if name not in left)]:
            if name in left and name in right:
                self._compare(left[name], right[name])
            else:
                value = left.get(name, right.get(name))
                self._add("constant" if isinstance(value, Const) and name else "structure", _size(value))

    def _blocks(self, one: Block, other: Block) -> None:
        if len(one) == len(other) and all(left[0] == right[0] for left, right in zip(one, other, strict=True)):
            for left, right in zip(one, other, strict=True):
                self._compare(left, right)
            return
        shortest, start, end = min(len(one), len(other)), 0, 0
        while start < shortest and one[start][0] == other[start][0]:
            start += 1
        while end < shortest - start and one[-1 - end][0] == other[-1 - end][0]:
            end += 1
        for left, right in zip(one[:start], other[:start], strict=True):
            self._compare(left, right)
        self._add("structure", sum(map(_size, one[start : len(one) - end] + other[start : len(other) - end])))
        for left, right in zip(one[len(one) - end :], other[len(other) - end :], strict=True):
            self._compare(left, right)


def _is(item: Any, tag: str) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and item[0] == tag


def _equal(one: Const, other: Const) -> bool:
    """Equal constants; a knob's value equals the same number of the other type."""
    if one.key == other.key:
        return True
    numbers = all(isinstance(x.value, int | float) and not isinstance(x.value, bool) for x in (one, other))
    return numbers and bool(one.knob or other.knob) and one.value == other.value


def _size(item: Any) -> int:
    """Number of leaves, at most `_HEAVIEST`."""
    stack, count = [item], 0
    while stack and count < _HEAVIEST:
        item = stack.pop()
        if isinstance(item, tuple):
            stack += item
        else:
            count += 1
    return count
