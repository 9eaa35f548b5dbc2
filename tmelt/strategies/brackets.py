"""Brackets of Hyperband (Li et al., 2018): successive halving from every first rung in turn, many candidates or few.

With R rungs, bracket b of a search begins at rung b mod R with the candidates and survivors of the paper's algorithm 1:
s = R − 1 − (b mod R), n = ⌈R eta^s / (s + 1)⌉ candidates, of which ⌊n eta^−i⌋ are on its rung i. After the last kind of
bracket, which has full trainings alone, the first kind comes again. As the trials of a search come one after another,
so do the brackets. A rung is promoted from when all its trials are there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tmelt.search.history import History, Proposal, Trial
from tmelt.search.notes import InRung
from tmelt.strategies.rungs import Ladder, best_unpromoted, on_rung, ranked


@dataclass(frozen=True)
class Bracket:
    """One run of successive halving."""

    number: int  # counted from 0 through the search
    first: int  # rung of its new candidates
    candidates: int  # new ones
    ladder: Ladder

    @classmethod
    def of(cls, number: int, ladder: Ladder) -> "Bracket":
        """Bracket `number` of a search."""
        first = number % ladder.rungs
        depth = ladder.top - first
        return cls(number, first, -(-ladder.rungs * ladder.eta**depth // (depth + 1)), ladder)

    def sizes(self, candidates: int | None = None) -> list[int]:
        """Trials of each of its rungs, with so many candidates; at least one on each, so that it ends at the top."""
        begun = self.candidates if candidates is None else candidates
        rungs = range(self.ladder.rungs - self.first)
        return [max(1, begun // self.ladder.eta**rung) for rung in rungs]


def propose_in_brackets(
    history: History, ladder: Ladder, script: str, draw: Callable[[], Proposal | None]
) -> Proposal | None:
    """The next trial of the bracket under way, or the first of the next one; None when nothing new can be drawn.

    Args:
        history: of the search.
        ladder: its rungs.
        script: source text of the training script.
        draw: a new candidate as a proposal without a rung; None when there is none, which closes the first rung.
    """
    notes = [note for trial in history if (note := trial.note(InRung)) is not None]
    bracket = Bracket.of(notes[-1].bracket if notes else 0, ladder)
    begun = on_rung(history, bracket.first, bracket.number)
    new = draw() if len(begun) < bracket.candidates else None
    if new is not None:
        return _placed(new, bracket)
    if begun and (promoted := _promotion(history, bracket, begun, script)) is not None:
        return promoted
    if not begun:
        return None
    new = draw()
    return None if new is None else _placed(new, Bracket.of(bracket.number + 1, ladder))


def _placed(new: Proposal, bracket: Bracket) -> Proposal:
    return bracket.ladder.place(new, bracket.first, bracket.number)


def _promotion(history: History, bracket: Bracket, begun: Sequence[Trial], script: str) -> Proposal | None:
    """The next promotion of a bracket whose first rung is closed; None when it has ended."""
    below = begun
    for rung, size in enumerate(bracket.sizes(len(begun))[1:], bracket.first + 1):
        above = on_rung(history, rung, bracket.number)
        if len(above) < min(size, len(ranked(below))):
            best = best_unpromoted(below, above, size)
            assert best is not None, "fewer trials above than may be promoted"
            return bracket.ladder.promote(best, below, script, rung, bracket.number)
        below = above
    return None
