"""Obfuscated view: a restricted agent that is told neither the task nor what the knobs mean (prompts/obfuscated.md).

Knobs are called k01, k02, …; choices v1, v2, …; a float is its position between 0 and 1 in its (logarithmic) range, a
whole number counts from 1. What the agent changes is mapped back exactly, and what it does not change is never touched.
Whatever the agent knows by heart about protein models is of no use to it here: what is left is how well it searches.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Knob, Space, Value
from tmelt.strategies import Context, ra
from tmelt.strategies.cma import from_unit, to_unit
from tmelt.strategies.guidance import VETOED
from tmelt.strategies.kind import Kind
from tmelt.strategies.program import PROMPTS
from tmelt.study.target import Target

DIGITS = 6  # of a position
# Words of the common texts that would give the task away, and what stands in their place.
_WORDS = (
    (
        "mean absolute error in points on validation, training and early-stopping proteins",
        "errors on three sets of cases",
    ),
    ("seconds of training", "seconds of work"),
    ("training seeds", "seeds"),
    ("training", "work"),
    ("validation", "held-out"),
    ("early-stopping", "inner"),
    ("proteins", "cases"),
    ("protein", "case"),
)


_POINTS = Target("score", "score", "points")


class ObfuscatedOptions(BaseModel):
    """Options of the view; all others are those of `ra`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    agent: Literal["ra"] = Field("ra", description="the agent that does not know what it tunes")


def propose(history: History, context: Context) -> Proposal:
    """What the agent proposes in its own terms, mapped back."""
    view = View(context.space)
    rest = {name: value for name, value in context.options.items() if name != "agent"}
    hidden = replace(
        context, options=rest, space=view.space, facts={}, conversation=_Plain(context.conversation), target=_POINTS
    )
    proposal = ra.propose(view.history(history), hidden)
    return replace(proposal, knobs=view.real(proposal.knobs, history[proposal.parent].knobs))


class View:
    """The names and values under which an agent sees a space."""

    def __init__(self, space: Space):
        self.names = {knob.name: f"k{number:02d}" for number, knob in enumerate(space, 1)}
        self.real_space = space
        self.space = Space([self._knob(knob) for knob in space])

    def _knob(self, knob: Knob) -> Knob:
        fields: dict[str, Any] = {"name": self.names[knob.name], "meaning": "not told"}
        if knob.when:
            other = self.real_space[knob.when[0]]
            fields["when"] = (self.names[other.name], tuple(_shown(other, value) for value in knob.when[1]))
        if knob.kind == "choice":
            fields |= {"kind": "choice", "choices": tuple(_shown(knob, choice) for choice in knob.choices)}
        elif knob.kind == "int":
            fields |= {"kind": "int", "low": 1, "high": knob.high - knob.low + 1}
        else:
            fields |= {"kind": "float", "low": 0.0, "high": 1.0}
        return Knob(**fields, default=_shown(knob, knob.default))

    def knobs(self, knobs: Mapping[str, Value]) -> dict[str, Value]:
        """Real values as the agent sees them."""
        return {self.names[name]: _shown(self.real_space[name], value) for name, value in knobs.items()}

    def real(self, shown: Mapping[str, Value], base: Mapping[str, Value]) -> dict[str, Value]:
        """The agent's values as they are; one that it left as in the base, or at its default, is that very number."""
        seen = self.knobs(base)
        values: dict[str, Value] = {}
        for knob in self.real_space:
            name = self.names[knob.name]
            if name not in shown:
                continue
            if name in seen and shown[name] == seen[name]:
                values[knob.name] = base[knob.name]
            elif shown[name] == self.space[name].default:
                values[knob.name] = knob.default
            else:
                values[knob.name] = _meant(knob, shown[name])
        return self.real_space.complete(values)

    def history(self, history: History) -> History:
        """The trials in the agent's terms, without the logs of failures."""
        rows = []
        for trial in history:
            error = trial.error if trial.error == VETOED else None
            rows.append(
                {**trial.row, "knobs": json.dumps(self.knobs(trial.knobs)), "error": error, "diagnostics": None}
            )
        return History([Trial.of(row) for row in rows])


def _shown(knob: Knob, value: Value) -> Value:
    if knob.kind == "choice":
        return f"v{knob.choices.index(value) + 1}"
    return int(value - knob.low) + 1 if knob.kind == "int" else round(to_unit(knob, value), DIGITS)


def _meant(knob: Knob, shown: Value) -> Value:
    if knob.kind == "choice":
        return knob.choices[int(str(shown)[1:]) - 1]
    return int(knob.low) + int(shown) - 1 if knob.kind == "int" else from_unit(knob, float(shown))


def plain(text: str) -> str:
    """The text without words of the task."""
    for word, other in _WORDS:
        text = text.replace(word, other)
    return text


class _Plain:
    """A conversation that speaks of the task in plain words."""

    def __init__(self, conversation: Any):
        self._conversation = conversation

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conversation, name)

    @property
    def settings(self) -> Any:
        """Without tools, whose results would be in the task's own words."""
        return self._conversation.settings.model_copy(update={"tools": None})

    def ask(self, *, system: str, user: str, parse: Callable[[str], Proposal], **rest: Any) -> Proposal:
        """As `Conversation.ask`; complaints about a reply are put in plain words as well."""
        from tmelt.llm import ReplyError

        def parse_plainly(text: str) -> Proposal:
            try:
                return parse(text)
            except ReplyError as error:
                raise ReplyError(plain(str(error))) from None

        return self._conversation.ask(system=plain(system), user=plain(user), parse=parse_plainly, **rest)


KIND = Kind(
    "obfuscated",
    "obfuscated view",
    propose,
    ObfuscatedOptions,
    order=70,
    agent=True,
    hides_task=True,
    mask=True,
    program=PROMPTS / "obfuscated.md",
    control="hides from the agent what the task and the knobs are",
)
