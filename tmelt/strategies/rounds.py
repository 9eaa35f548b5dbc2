"""Rounds of the hybrids: the agent sets a structure and a subspace, then BO spends trials inside it.

A round is its agent's trial and what follows it up to the next one; where it stands is read off the last trials of the
history, nothing is kept elsewhere. Knobs outside the declared subspace keep the value of the agent's own trial.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tmelt.search.history import History, Trial
from tmelt.search.knobs import KnobError, Space, Value
from tmelt.search.notes import InRound

RANGE_FIELDS = frozenset({"low", "high", "choices", "fixed"})


@dataclass(frozen=True)
class Round:
    """A round under way."""

    number: int  # from 1
    start: Trial  # the agent's own trial, which holds structure and subspace
    spent: int  # trials of BO in it so far


def current_round(history: History) -> Round | None:
    """The latest round, or None before the first."""
    for spent, trial in enumerate(reversed(history)):
        place = trial.note(InRound)
        if trial.origin == "agent" and trial.status != "refused" and place is not None:
            return Round(number=place.number, start=trial, spent=spent)
        if trial.origin == "agent":
            return None  # a round that could not begin
    return None


def next_round_number(history: History) -> int:
    """1 for the first round; a round that could not begin is counted again."""
    places = [trial.note(InRound) for trial in history if trial.status != "refused"]
    return max((place.number for place in places if place), default=0) + 1


def narrowed(space: Space, knobs: Mapping[str, Value], subspace: Mapping[str, Mapping[str, Any]]) -> Space:
    """The space of one round: the subspace open, every other active knob fixed at its value in `knobs`.

    A knob that is inactive in `knobs` and not named keeps its whole range: it counts only if the subspace opens the
    choice that activates it.

    Raises:
        KnobError: an unknown knob, a range that reaches outside `space`, a field that does not fit the knob, nothing
            left to search (open knobs that cannot become active are nothing), or `knobs` outside the subspace.
    """
    for name, change in subspace.items():
        knob = space[name]
        if not isinstance(change, Mapping) or not change:
            raise KnobError(f"{name}: a range is an object such as {_example(knob.kind)}")
        fields = set(change)
        legal = {"fixed"} if "fixed" in fields else ({"choices"} if knob.kind == "choice" else {"low", "high"})
        if not fields <= RANGE_FIELDS or not fields <= legal:
            raise KnobError(f"{name}: {sorted(fields - legal)[0]!r} does not fit; write {_example(knob.kind)}")
    fixed = {name: {"fixed": value} for name, value in knobs.items() if name not in subspace}
    try:
        narrow = space.subspace({**fixed, **subspace})
    except TypeError as error:
        raise KnobError(f"a range is of the wrong type ({error})") from None
    if not any(len(narrow[name].choices) != 1 and _can_be_active(narrow, name) for name in subspace):
        raise KnobError("the subspace leaves nothing to search; open at least one knob that counts in it")
    for name, value in knobs.items():
        try:
            narrow[name].check(value)
        except KnobError as error:
            raise KnobError(f"your own trial lies outside the subspace: {error}") from None
    return narrow


def _can_be_active(space: Space, name: str) -> bool:
    when = space[name].when
    return when is None or (_can_be_active(space, when[0]) and any(space[when[0]].allows(value) for value in when[1]))


def _example(kind: str) -> str:
    ranged = '{"choices": [...]}' if kind == "choice" else '{"low": ..., "high": ...}'
    return f'{ranged} or {{"fixed": ...}}'
