"""What a trajectory may still spend: reserved before a call, settled with the real usage after it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tmelt.errors import InputError
from tmelt.llm.call_price import cost_usd
from tmelt.llm.errors import BudgetSpent
from tmelt.llm.transcript import Charge, charge_of

if TYPE_CHECKING:
    from tmelt.llm.settings import CallBudget, Price
    from tmelt.search.history import Trial

_SOFT = re.compile(r"[a-z \n\t]")
_PER_MESSAGE = 16  # role markers and the like, in every chat template we know


@dataclass(frozen=True)
class Reservation:
    """The most that one call is expected to use."""

    prompt_tokens: int
    completion_tokens: int
    usd: float | None  # None when the price is unknown

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens


class Spent(Charge):
    """What earlier trials of the trajectory used up."""

    @classmethod
    def before(cls, history: Iterable["Trial"], folder: Path) -> "Spent":
        """From the history; only trials whose usage is unknown are looked up in their transcripts.

        Args:
            folder: of the trajectory, with one `i{iteration}/llm` per trial.
        """
        total = Charge()
        for trial in history:
            known = (trial.cost_usd, trial.prompt_tokens, trial.completion_tokens)
            if not trial.llm_calls:
                continue
            if None in known:
                total += charge_of(folder / f"i{trial.iteration}" / "llm")
            else:
                total += Charge(trial.cost_usd, trial.prompt_tokens + trial.completion_tokens, trial.llm_calls)
        return cls(total.usd, total.tokens, total.calls, total.unpriced_tokens)


def cautious_token_count(messages: Sequence[Mapping[str, str]]) -> int:
    """A cautious count of prompt tokens without the model's tokenizer.

    Two lower-case letters or blanks count one token (English prose needs about half of that); every other ASCII
    character (capitals as in protein sequences, digits, punctuation) and every byte of a non-ASCII one counts one
    token, the most that a byte-level tokenizer can make of it.
    """
    total = 0
    for message in messages:
        text = message["content"]
        soft = len(_SOFT.findall(text))
        total += _PER_MESSAGE + (soft + 1) // 2 + len(text.encode("utf-8", "surrogatepass")) - soft
    return total


def reserve(messages: Sequence[Mapping[str, str]], max_tokens: int, price: "Price | None") -> Reservation:
    """What to set aside for a call: the estimated prompt and the longest allowed reply."""
    prompt_tokens = cautious_token_count(messages)
    return Reservation(prompt_tokens, max_tokens, cost_usd(price, prompt_tokens, max_tokens))


def check_budget(
    limits: "CallBudget | None", used: Charge, need: Reservation, price: "Price | None", model: str
) -> None:
    """Refuse a call that might exceed the budget.

    Raises:
        BudgetSpent: it might.
        InputError: there is a budget in dollars, but no price.
    """
    if limits is None:
        return
    if limits.calls is not None and used.calls + 1 > limits.calls:
        raise BudgetSpent("calls", limits.calls, used.calls, 1)
    if limits.tokens is not None and used.tokens + need.tokens > limits.tokens:
        raise BudgetSpent("tokens", limits.tokens, used.tokens, need.tokens)
    if limits.usd is not None:
        if price is None or need.usd is None:
            raise InputError(
                f"llm: a budget in dollars needs a price, and that of {model} is not known here; "
                "set price: {input: …, output: …} (USD per million tokens) or a budget in tokens"
            )
        usd = used.usd + used.unpriced_tokens * max(price.input, price.output) / 1e6
        if usd + need.usd > limits.usd:
            raise BudgetSpent("dollars", limits.usd, usd, need.usd)
