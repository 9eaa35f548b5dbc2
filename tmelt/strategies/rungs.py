"""Rungs of successive halving: who is in which, who is promoted, and what a trial's rationale says of it.

Of n rungs, counted from 0, rung k trains with eta^(k + 1 − n) of the chosen quantity, so that the last is a full
training. A promotion is a trial of its own: the candidate is trained anew at the next rung. The place of a search is
read off the notes of its trials; nothing is kept elsewhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field

from tmelt.search.fidelity import QUANTITIES, Quantity, at_fidelity, in_words
from tmelt.search.history import Proposal, Trial
from tmelt.search.notes import InRung, Note
from tmelt.strategies.knew import ordinal
from tmelt.strategies.optuna_space import measured

PROMOTED = {"promoted": "trained anew at the next rung"}


class HalvingOptions(BaseModel):
    """The rungs of a search."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fidelity: Quantity = Field(
        "epochs",
        description="what cheap trials have a share of. epochs: epochs, patience and the seconds of the budget;"
        " proteins: the fit proteins, and the seconds; seconds: the seconds of the budget, the script is not told",
    )
    eta: int = Field(3, ge=2, le=10, description="one in so many is promoted, to so many times the fidelity")
    rungs: int = Field(3, ge=2, le=6, description="rungs; the first has the fidelity eta^(1 - rungs), the last 1")


@dataclass(frozen=True)
class Ladder:
    """The rungs, cheapest first."""

    quantity: Quantity
    eta: int
    rungs: int

    @classmethod
    def of(cls, options: HalvingOptions) -> "Ladder":
        """The ladder of a search's options."""
        return cls(options.fidelity, options.eta, options.rungs)

    @property
    def top(self) -> int:
        """The last rung."""
        return self.rungs - 1

    def share(self, rung: int) -> float:
        """The fidelity of a rung."""
        return 1.0 / self.eta ** (self.top - rung)

    def words(self, rung: int) -> str:
        """A rung, for a rationale."""
        share = self.share(rung)
        part = "full training" if share == 1 else f"{in_words(share)} of the {QUANTITIES[self.quantity]}"
        return f"rung {rung + 1} of {self.rungs} ({part})"

    def place(self, proposal: Proposal, rung: int, bracket: int | None = None) -> Proposal:
        """The proposal on a rung: at its fidelity, with a note of it, and a rationale that names it first."""
        placed = at_fidelity(proposal, self.quantity, self.share(rung))
        notes: tuple[Note, ...] = (*proposal.state, InRung(rung=rung, bracket=bracket or 0))
        where = self.words(rung) if bracket is None else f"bracket {bracket + 1}, {self.words(rung)}"
        return replace(placed, state=notes, rationale=f"{where}: {proposal.rationale}")

    def promote(
        self, trial: Trial, among: Sequence[Trial], script: str, rung: int, bracket: int | None = None
    ) -> Proposal:
        """The candidate of a trial on the next rung, `rung`.

        Args:
            trial: which is promoted.
            among: the trials of its rung.
            script: source text of the training script.
            rung: the next one.
            bracket: of Hyperband.
        """
        rank = ranked(among).index(trial) + 1
        text = f"promoted, {ordinal(rank)} of {len(among)} on rung {rung} (trial {trial.iteration})"
        proposal = Proposal(
            knobs=dict(trial.knobs), script=script, origin="promoted", parent=trial.iteration, rationale=text
        )
        return self.place(proposal, rung, bracket)


def least_fidelity(options: BaseModel) -> float:
    """The fidelity of the first rung."""
    assert isinstance(options, HalvingOptions)
    return Ladder.of(options).share(0)


def on_rung(trials: Iterable[Trial], rung: int, bracket: int = 0) -> list[Trial]:
    """The trials of one rung of one bracket, in order."""
    place = (rung, bracket)
    return [t for t in trials if (note := t.note(InRung)) is not None and (note.rung, note.bracket) == place]


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """The trials of a rung that have a validation error, the best first; of equal ones the earlier."""
    return sorted(filter(measured, trials), key=lambda trial: (trial.val_mae, trial.iteration))


def best_unpromoted(below: Sequence[Trial], above: Sequence[Trial], most: int) -> Trial | None:
    """The best of the first `most` of a rung that is not on the next one yet; None if all of them are."""
    promoted = {trial.parent for trial in above}
    return next((trial for trial in ranked(below)[:most] if trial.iteration not in promoted), None)
