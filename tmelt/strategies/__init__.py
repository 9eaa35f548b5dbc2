"""Ways to search.

A strategy is a pure function of the history: the same history, seed and recorded LLM replies give the same proposal in
a new process.

Strategies without an LLM use `val_mae` in hundredths. What an agent is told of errors is rounded by
tmelt.strategies.coarse: its scripts could measure the labels. In the rounds of hybrids and in the centaur the sampler
has hundredths, and the agent sees what the sampler proposed and, in the centaur, the state of CMA-ES.

A kind is declared once, as `KIND` in its own module here or in an installed package (tmelt.strategies.registry).
CONTRIBUTING.md says how to add one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmelt.errors import InputError
from tmelt.search.history import History, Proposal
from tmelt.search.knobs import Space
from tmelt.strategies.seeds import seed_of
from tmelt.study.target import TM, Target

if TYPE_CHECKING:
    from tmelt.coder.session import Sessions
    from tmelt.llm import Conversation
    from tmelt.strategies.tools import ShortRuns


@dataclass(frozen=True)
class Context:
    """Everything besides the history that a strategy may look at."""

    study: str  # the seeds derive from this name
    strategy: str  # its name in the config
    kind: str
    options: Mapping[str, Any]
    trajectory: int
    iteration: int  # of the trial to propose; 0 is the baseline
    space: Space
    reference: str  # source text of the reference training script
    folder: Path  # results/{study}/{strategy}/t{trajectory}: earlier trials' scripts and transcripts lie there
    conversation: "Conversation | None" = None  # agents only
    facts: Mapping[str, Any] | None = None  # what the protocol lets an agent know: data, budget, units
    bench: "ShortRuns | None" = None  # for agents with tools that run scripts
    sessions: "Sessions | None" = None  # for agents that are programs of the user's
    iterations: int | None = None  # trials of the search after the baseline, as the config has it now
    budget_left: str | None = None  # in words, of a search that has a budget in device seconds or dollars
    target: Target = TM  # what is predicted, and how it is written

    @property
    def seed(self) -> int:
        """A seed for this trial alone: a fixed one would repeat its draws in each fresh process."""
        return self._seed(self.iteration)

    @property
    def search_seed(self) -> int:
        """A seed that all trials of this search share."""
        return self._seed()

    def _seed(self, *numbers: int) -> int:
        return seed_of(self.study, self.strategy, self.trajectory, *numbers)

    def script(self, iteration: int) -> str:
        """The training script of an earlier trial."""
        return (self.folder / f"i{iteration}" / "train.py").read_text(encoding="utf-8")


def propose(history: History, context: Context) -> Proposal:
    """Return the next candidate. Trial 0 is the baseline for every strategy; the user's pause and veto take precedence.

    Raises:
        InputError: the kind or an option is unknown, or the kind proposes with an origin that it does not declare.
    """
    from tmelt.strategies.guidance import apply_veto, pause
    from tmelt.strategies.registry import asked_kind, kind_of

    if context.iteration == 0:
        return Proposal(knobs=context.space.defaults(), script=context.reference, origin="baseline")
    if paused := pause(history, context.folder, context.iteration):
        return paused
    kind = kind_of(context.kind)
    proposal = kind.propose(history, context)
    if proposal.status == "proposed" and proposal.origin not in asked_kind(kind, context.options).origins:
        raise InputError(
            f"strategy {context.strategy}: its kind {kind.name} proposed with an undeclared origin, {proposal.origin!r}"
            "; add it to `origins` of its KIND"
        )
    return apply_veto(proposal, context.folder, context.iteration)
