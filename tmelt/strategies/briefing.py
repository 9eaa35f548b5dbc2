"""Briefing: what an agent's prompt says, as data, for a scripted model that stands where an LLM would.

A scripted model (tmelt.strategies.playbook) gets it beside the messages, so editing a prompt changes nothing for it.
The numbers are those that prompts have: rounded by tmelt.strategies.coarse.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tmelt.search.history import History, Trial
from tmelt.search.knobs import Knob, Space, Value, knobs_from_table
from tmelt.strategies.coarse import coarse, told_mae
from tmelt.strategies.memory import changes_between, format_value
from tmelt.study.target import TM


@dataclass(frozen=True)
class Attempt:
    """An earlier trial."""

    number: int
    val: float | None  # in the target's unit; None if it failed
    gap: float | None  # val − fit
    parent: int | None
    changes: tuple[str, ...]  # against its parent: `knob=value` as tables of trials print it, and `script`
    idea: str


@dataclass(frozen=True)
class Briefing:
    """What is known before one proposal, and what is asked for."""

    asked: tuple[str, ...]  # keys of the reply's JSON
    knobs: Mapping[str, Knob]  # those of the study, and those that the base's script declares
    base: Mapping[str, Value]  # active knobs of the trial to start from
    base_number: int
    attempts: tuple[Attempt, ...]
    iteration: int
    rounds: int = 0  # completed rounds of a hybrid
    script: str | None = field(default=None, repr=False)  # of the base, for an agent that may write one
    log: str | None = field(default=None, repr=False)  # end of the log of the crash to repair
    guidance: str = ""
    candidates: int = 1  # how many are asked for in one reply
    tools: tuple[str, ...] = ()  # names of those that it may call
    unit: str = TM.unit  # of the target

    @property
    def base_attempt(self) -> Attempt | None:
        """The trial to start from."""
        return next((attempt for attempt in self.attempts if attempt.number == self.base_number), None)

    @property
    def gap(self) -> float | None:
        """Generalisation gap of the trial to start from, if known."""
        return self.base_attempt.gap if self.base_attempt else None

    def to_json(self) -> dict[str, Any]:
        """The briefing as `from_json` reads it."""
        fields = asdict(replace(self, knobs={}))
        return {**fields, "knobs": Space(self.knobs.values()).table()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Briefing":
        """A briefing that `to_json` wrote."""
        attempts = tuple(Attempt(**{**attempt, "changes": tuple(attempt["changes"])}) for attempt in raw["attempts"])
        knobs = {knob.name: knob for knob in knobs_from_table(raw["knobs"])}
        return cls(
            **{**raw, "asked": tuple(raw["asked"]), "tools": tuple(raw["tools"]), "knobs": knobs, "attempts": attempts}
        )


def attempts_of(history: History) -> tuple[Attempt, ...]:
    """All trials as an agent is told them."""
    return tuple(_attempt(history, trial) for trial in history)


def _attempt(history: History, trial: Trial) -> Attempt:
    base = history[trial.parent if trial.parent is not None else 0]
    changes = [f"{name}={format_value(value)}" for name, value in changes_between(base.knobs, trial.knobs).items()]
    val = None if trial.val_mae is None else told_mae(trial)
    fit = None if trial.fit_mae is None else coarse(trial.fit_mae, trial.margin)
    return Attempt(
        number=trial.iteration,
        val=val,
        gap=None if fit is None or val is None else round(val - fit, 2),
        parent=trial.parent,
        changes=(*changes, *(["script"] if trial.script != base.script else [])),
        idea=" ".join((trial.proposal["hypothesis"] or "").split()),
    )
