"""Search topology: which earlier trial an agent's next proposal builds on.

It belongs to the search and not to the agent, so that a study can compare both: the same agent under two topologies,
or two agents under one. What is kept and what is the incumbent stays the study's own rule (tmelt.search.decision).

- `greedy`: the incumbent. The agent may name another trial that ran (`from`).
- `best_of_k`: the same parent for `breadth` proposals. Then the best of the parent and of the trials since it was
  chosen is the next parent.
- `population`: one of the `breadth` best distinct candidates, each with the same probability.
- `adaptive`: the incumbent, until there has been no new one for `stagnation` trials; then one of the `breadth` best
  distinct candidates, as in `population`; after twice as many trials one of the 2 × `breadth` best, and so on. A new
  incumbent makes it greedy again.

"Best" is by the validation error as agents are told it, the earlier trial first where two are told the same. Only
trials that worked, in a full training, are parents; while there are none it is trial 0. Draws follow from the search's
seed. In a hybrid the topology chooses what a round starts from. A repair builds on the script that crashed and is no
proposal of a topology.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tmelt.search.history import History, Trial
from tmelt.search.notes import Branched, Note
from tmelt.strategies import Context
from tmelt.strategies.agent import Base, Reply, base_of
from tmelt.strategies.coarse import told_mae

_STREAM = 3  # of the trial's seed
_NAMED = 8  # candidates that a prompt names


class TopologyOptions(BaseModel):
    """Options of every agent that builds on an earlier trial."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    topology: Literal["greedy", "best_of_k", "population", "adaptive"] = Field(
        "greedy",
        description="what a proposal builds on. `greedy`: the incumbent; `best_of_k`: one parent for `breadth`"
        " proposals, then the best of them; `population`: one of the `breadth` best candidates, drawn at random;"
        " `adaptive`: the incumbent, and after `stagnation` trials without a new one more and more of the best"
        " candidates. All but `greedy` fix the parent",
    )
    breadth: int = Field(
        4,
        ge=2,
        description="`best_of_k`: proposals from one parent; `population`: candidates that parents are drawn from;"
        " `adaptive`: by how many these grow at a time",
    )
    stagnation: int = Field(8, ge=1, description="`adaptive`: trials without a new incumbent before parents widen")

    @model_validator(mode="after")
    def _used(self) -> "TopologyOptions":
        given = self.model_fields_set
        if "breadth" in given and self.topology == "greedy":
            raise ValueError("breadth: does nothing with topology: greedy; remove it or choose another topology")
        if "stagnation" in given and self.topology != "adaptive":
            raise ValueError(f"stagnation: does nothing with topology: {self.topology}; remove it or use adaptive")
        return self


@dataclass(frozen=True)
class Branch:
    """What the next proposal builds on.

    Attributes:
        base: the parent.
        why: for the prompt, in one sentence.
        rule: what a prompt says about the topology; empty where the agent may choose another trial.
        note: the record of the choice; None where the topology chose nothing.
    """

    base: Base
    why: str
    rule: str = ""
    note: Branched | None = None

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the proposal keeps of it, whatever becomes of it."""
        return () if self.note is None else (self.note,)

    @property
    def values(self) -> dict[str, str]:
        """Placeholders of the agents' programs."""
        return {"parent": self.why, "topology": self.rule}

    def start(self, reply: Reply, history: History, context: Context) -> Base:
        """The trial that a reply starts from: the one it names, or the parent.

        Raises:
            ReplyError: it names another trial than the one that the topology fixes.
        """
        return self.named(reply.start, history, context)

    def named(self, number: int | None, history: History, context: Context) -> Base:
        """The trial of this number, or the parent; raises as `start`."""
        from tmelt.llm import ReplyError

        if number is None or number == self.base.trial.iteration:
            return self.base
        if self.rule:
            raise ReplyError(
                f"from: this proposal builds on trial {self.base.trial.iteration}, which the search's topology fixes;"
                " leave it null"
            )
        return base_of(history[number], context)


def branch_of(history: History, context: Context, options: TopologyOptions) -> Branch:
    """The parent of the next proposal of an agent: a pure function of the history and of the trial's seed."""
    if options.topology == "greedy":
        return _branch(history, history.incumbent or history[0], "", context)
    if options.topology == "best_of_k":
        parent, place, why = _best_of_k(history, options.breadth)
    else:
        place = 1
        widest = options.breadth
        if options.topology == "adaptive":
            widest *= _since_improvement(history) // options.stagnation
        parent, why = _drawn(history, context, widest)
    note = Branched(topology=options.topology, parent=parent.iteration, place=place)
    return _branch(history, parent, why, context, _RULES[options.topology], note)


def repair_of(crashed: Trial, context: Context, options: TopologyOptions) -> Branch:
    """A script to repair as a branch of its own."""
    rule = "" if options.topology == "greedy" else _RULES[options.topology]
    return Branch(base_of(crashed, context), f"Trial {crashed.iteration}, whose script you repair.", rule)


def best_candidates(history: History, most: int) -> list[Trial]:
    """The best distinct candidates, best first; copies of a script with the same knobs are one."""
    found: dict[tuple[str, str], Trial] = {}
    for trial in sorted((trial for trial in history.succeeded if trial.full), key=_rank):
        if len(found) == most:
            break
        found.setdefault((trial.script, trial.knobs_json), trial)
    return list(found.values())


_RULES = {
    "best_of_k": (
        "The search fixes the trial that you build on, and `from` stays null: the same trial for several proposals in"
        " a row, then the best of them and of that trial. So proposals from one trial are alternatives: make them"
        " different from each other."
    ),
    "population": (
        "The search fixes the trial that you build on, and `from` stays null: it is drawn anew for each proposal from"
        " the best candidates so far, which need not be the incumbent."
    ),
    "adaptive": (
        "The search fixes the trial that you build on, and `from` stays null: the incumbent, but when there has been"
        " no new incumbent for long, a candidate drawn from the best so far."
    ),
}


def _branch(
    history: History, parent: Trial, why: str, context: Context, rule: str = "", note: Branched | None = None
) -> Branch:
    usual = "the incumbent" if history.incumbent is not None else "the baseline"
    return Branch(base_of(parent, context), f"Trial {parent.iteration}, {why or usual}.", rule, note)


def _rank(trial: Trial) -> tuple[float, int]:
    return told_mae(trial), trial.iteration


def _best_of_k(history: History, k: int) -> tuple[Trial, int, str]:
    """(parent, place among the proposals from it, why)."""
    last = next((trial for trial in reversed(history) if trial.note(Branched)), None)
    if last is None or (note := last.note(Branched)) is None:
        parent = history.incumbent or history[0]
        return parent, 1, f"for proposal 1 of {k} from it"
    if note.place < k:
        place = note.place + 1
        return history[note.parent], place, f"for proposal {place} of {k} from it"
    first = next(
        trial for trial in reversed(history) if (begun := trial.note(Branched)) is not None and begun.place == 1
    )
    rivals = [trial for trial in (history[note.parent], *history[first.iteration :]) if trial.ok and trial.full]
    parent = min(rivals, key=_rank) if rivals else history[note.parent]
    if parent.iteration == note.parent:
        return parent, 1, f"which none of the last {k} proposals from it has beaten; for proposal 1 of {k} from it"
    return parent, 1, f"the best of the proposals from trial {note.parent}; for proposal 1 of {k} from it"


def _since_improvement(history: History) -> int:
    """Trials since the last one that became the incumbent; all of them while there was none."""
    for count, trial in enumerate(reversed(history)):
        if trial.incumbent == trial.iteration:
            return count
    return len(history)


def _drawn(history: History, context: Context, most: int) -> tuple[Trial, str]:
    """(parent, why): one of so many candidates; 0 is the incumbent."""
    candidates = best_candidates(history, most) if most else []
    if not candidates:
        return history.incumbent or history[0], ""
    import numpy as np

    parent = candidates[int(np.random.default_rng([context.seed, _STREAM]).integers(len(candidates)))]
    return parent, f"drawn from the {len(candidates)} best candidates so far ({_numbers(candidates)})"


def _numbers(trials: Sequence[Trial]) -> str:
    told = ", ".join(str(trial.iteration) for trial in trials[:_NAMED])
    return f"trials {told}" + (", …" if len(trials) > _NAMED else "")
