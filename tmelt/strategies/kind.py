"""What a kind of strategy declares about itself, once, in its own module (`KIND`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tmelt.strategies.options import read_options

if TYPE_CHECKING:
    from tmelt.search.history import History, Proposal
    from tmelt.strategies import Context
    from tmelt.study.config import Config

# Words of the report for trials whose proposer gave no reason, by origin.
DRAWN = {"random": "drawn at random"}
SAMPLED = {"startup": "a first draw of the sampler", "sampler": "proposed by the sampler"}
ASKED = {"agent": "proposed by the agent, without a word"}


@dataclass(frozen=True)
class Kind:
    """One kind of strategy: how it proposes, its options, and what the workflow and the report have to know of it."""

    name: str  # the kind in the config, and the name of its module in tmelt/strategies or of its entry point
    title: str  # the report's words for it
    propose: "Callable[[History, Context], Proposal]"
    options: Any  # a pydantic model, or a union of models
    order: int  # place in figures and tables: simple searches first, then controls, agents and hybrids
    origins: Mapping[str, str] = field(default_factory=dict)  # origin of a trial: what the report says of it
    agent: bool = False  # asks an LLM, or starts a program that does
    external: bool = False  # an agent that is a program of the user's: no model of the config, and no playbook
    writes_scripts: bool = False  # sees training scripts and writes them
    hides_task: bool = False  # its agent is told neither the task nor what the knobs mean
    mask: bool = False  # an agent seen through a mask: option `agent` names its kind, which has all other options
    # Where a sampler of `bo` proposes: nowhere, in every trial, or in the trials between those of an agent.
    sampler: Literal["none", "always", "inner"] = "none"
    control: str = ""  # what it controls for, as the report says it after the strategy's name; empty for contestants
    program: Path | None = None  # an agent's program; None: prompts/{name}.md, or for a mask the agent's own
    defaults: Mapping[str, Any] = field(default_factory=dict)  # options that count where the config is silent
    # Hash of code outside this package that the options name, part of the strategy's identity; None without such code.
    code: Callable[[Mapping[str, Any]], str | None] | None = None
    # The least fidelity of its trials by the options (tmelt.search.fidelity); None: it has no cheap trials.
    least_fidelity: Callable[[Mapping[str, Any]], float] | None = None
    # Tries out what the checked options name, before any job starts: (options, name of the strategy), or InputError.
    try_out: Callable[[Any, str], None] | None = None
    # Checks of the options against the study, before any job starts: (options, config, name), or InputError.
    check: "Callable[[Any, Config, str], None] | None" = None

    def checked(self, options: Mapping[str, Any], strategy: str) -> Any:
        """As `read`, and what else can be checked before any job starts."""
        found = self.read(options, strategy)
        if self.try_out:
            self.try_out(found, strategy)
        return found

    def read(self, options: Mapping[str, Any], strategy: str) -> Any:
        """The options of `extent.strategies.<strategy>`, checked; for an agent without those of the LLM layer.

        Raises:
            InputError: one line that names the key and what is wrong with it.
        """
        return read_options(self.options, {**self.defaults, **options}, strategy)
