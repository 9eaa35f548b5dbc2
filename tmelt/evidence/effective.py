"""What a change of script and knobs amounts to: which knobs change in effect, and what is left of the script's change.

A script with pooling="attention" where the other reads `knobs["pooling"]` is the other script with another value of
the knob. Such values are found by putting the knobs' values in place of their reads on both sides, and are believed
only if the two programs are then the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tmelt.evidence.normalise import Mismatch, Program, is_followed, mismatches, program, size
from tmelt.search.knobs import Space
from tmelt.study.protocol import REFERENCE

_EFFORT = 60_000  # nodes of syntax trees that one search for values may bring into normal form
_STEPS = 4


@dataclass(frozen=True)
class Effect:
    """A change without its spelling.

    Attributes:
        knobs: name: [before, after] of the knobs whose value in effect differs; None where inactive.
        parts: names of functions, methods, classes and constants that differ beyond these knobs.
        structure: True if they differ in more than constants.
    """

    knobs: Mapping[str, list[Any]]
    parts: tuple[str, ...]
    structure: bool


def effect_of(
    before: str, after: str, knobs_before: Mapping[str, Any], knobs_after: Mapping[str, Any], space: Space
) -> Effect:
    """The change from one candidate to another.

    Raises:
        Unsure: a script has no normal form.
    """
    names = frozenset([*knobs_before, *knobs_after, *(knob.name for knob in space)])
    old, new = program(before, knobs=names), program(after, knobs=names)
    followed = is_followed(before) and is_followed(after)
    if old.text == new.text:
        read = new.read if followed else names
        return Effect(_differing(knobs_before, knobs_after, read), (), False)
    if not followed:
        return _left_over(mismatches(old, new), _differing(knobs_before, knobs_after, names))
    search = _Search(space, names)
    one, other = _Side(before, knobs_before, old), _Side(after, knobs_after, new)
    there, rest = search.values(one, other, {**knobs_before, **knobs_after})
    if not rest and search.same(one, there, other):
        return Effect(_differing(knobs_before, search.active(there, knobs_after), old.read), (), False)
    back, left = search.values(other, one, {**knobs_after, **knobs_before})
    if not left and search.same(other, back, one):
        return Effect(_differing(search.active(back, knobs_before), knobs_after, new.read), (), False)
    if (both := _against_reference(search, one, other)) is not None:
        return both
    found = {name for name in there if name in old.read and _differs(there[name], search.filled(knobs_after)[name])}
    knobs = _differing(knobs_before, search.active(there, knobs_after), new.read | found)
    return _left_over(rest or mismatches(old, new), knobs)


def _left_over(rest: list[Mismatch], knobs: Mapping[str, list[Any]]) -> Effect:
    parts = tuple(dict.fromkeys(one.part for one in rest))
    return Effect(knobs, parts, any(one.kind == "structure" for one in rest))


def _against_reference(search: "_Search", *sides: "_Side") -> Effect | None:
    """The change of two scripts that are both the reference script with other values of its knobs; else None."""
    script = reference()
    if script in [side.script for side in sides] or not is_followed(script):
        return None
    template = _Side(script, {}, program(script, knobs=search.names))
    values = []
    for side in sides:
        found, rest = search.values(template, side, side.knobs)
        if rest or not search.same(template, found, side):
            return None
        values.append(search.active(found, side.knobs))
    return Effect(_differing(*values, template.symbolic.read), (), False)


@dataclass(frozen=True)
class _Side:
    """A candidate, and its script's normal form with open knobs."""

    script: str
    knobs: Mapping[str, Any]
    symbolic: Program


@cache
def reference() -> str:
    """The reference training script."""
    return REFERENCE.read_text(encoding="utf-8")


class _Search:
    """Finds values of a script's knobs under which it is another program."""

    def __init__(self, space: Space, names: frozenset[str]) -> None:
        self._space = space
        self.names = names

    def active(self, values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """The values of knobs that count: those given, and those that are not given but active."""
        return {
            name: value
            for name, value in values.items()
            if name not in self._space
            or not (when := self._space[name].when)
            or values.get(when[0]) in when[1]
            or (name in given and when[0] not in values)
        }

    def filled(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values, and the defaults of the others."""
        return {knob.name: knob.default for knob in self._space} | dict(values)

    def values(self, one: _Side, other: _Side, start: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mismatch]]:
        """(values with which a script comes closest to a candidate, what still differs); `start` is tried first."""
        values = self.filled(start)
        target = program(other.script, self.filled(other.knobs), self.names)
        attempts = max(2, _EFFORT // max(1, size(one.script)))
        rest = mismatches(program(one.script, values, self.names), target)
        for _ in range(_STEPS):
            if not rest:
                break
            best = None
            for change in self._proposals(rest, one.symbolic, values, other.symbolic):
                if attempts <= 0:
                    break
                attempts -= 1
                tried = mismatches(program(one.script, values | change, self.names), target)
                if _weight(tried) < _weight(best[1] if best else rest):
                    best = change, tried
                    if not tried or len(change) > 1:
                        break
            if best is None:
                break
            values |= best[0]
            rest = best[1]
        return values, rest

    def same(self, one: _Side, values: Mapping[str, Any], other: _Side) -> bool:
        """True if the programs are the same with open knobs as well, but for knobs that one of them puts a value for.

        With all knobs closed, code in a branch that these values do not take would go unseen.
        """
        given = self.filled(other.knobs)
        closed = one.symbolic.read ^ other.symbolic.read
        closed |= {
            name for name in one.symbolic.read if name in values and _differs(values[name], other.knobs.get(name))
        }
        closed -= {name for name in closed if name not in values or (name in other.symbolic.read and name not in given)}
        while True:
            first = program(one.script, {name: values[name] for name in closed}, self.names)
            second = program(other.script, {name: given[name] for name in closed if name in given}, self.names)
            rest = mismatches(first, second)
            more = {
                item.knob
                for item in rest
                if item.kind == "constant" and item.knob in values and not _differs(item.value, values[item.knob])
            }
            if not rest or not more - closed:
                return not rest
            closed |= more

    def _proposals(self, rest: list[Mismatch], symbolic: Program, values: Mapping[str, Any], target: Program):
        """Changes of values that may bring the two programs closer: constants that stand opposite, then choices."""
        opposite: dict[str, list[Any]] = {}
        for one in rest:
            if one.knob is None or not isinstance(one.value, int | float | str | bool):
                continue
            if all(_differs(one.value, value) for value in opposite.setdefault(one.knob, [])):
                opposite[one.knob].append(one.value)
        agreed = {name: found[0] for name, found in opposite.items() if len(found) == 1}
        if len(agreed) > 1:
            yield agreed
        for name, found in opposite.items():
            for value in found[:2]:
                yield {name: value}
        parts = {one.part.split(".")[0] for one in rest}
        read = set().union(*(symbolic.reads.get(part, set()) for part in parts)) - target.read
        for knob in self._space:
            if knob.name in read and knob.kind == "choice":
                for value in knob.choices:
                    if _differs(value, values.get(knob.name)):
                        yield {knob.name: value}


def _weight(rest: list[Mismatch]) -> int:
    return sum(one.weight for one in rest)


def _differs(one: Any, other: Any) -> bool:
    """Different as knob values: 1 and 1.0 are equal, True and 1 are not."""
    return isinstance(one, bool) != isinstance(other, bool) or one != other


def _differing(before: Mapping[str, Any], after: Mapping[str, Any], read: set[str] | frozenset[str]) -> dict[str, list]:
    names = [*before, *(name for name in after if name not in before)]
    return {
        name: [before.get(name), after.get(name)]
        for name in names
        if name in read and _differs(before.get(name), after.get(name))
    }
