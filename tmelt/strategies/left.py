"""What is left of a search when an agent is asked: trials, money, tokens, calls, and room for the reply.

Extent and budget may be raised while a study is under way. The text that a proposal was first asked with is therefore
journaled beside its transcripts (`llm/left.txt`), so that a replay sends the same words.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tmelt.storage.files import write_text

if TYPE_CHECKING:
    from tmelt.llm import Conversation
    from tmelt.strategies import Context

FILE = "left.txt"


def left_in_force(context: "Context", conversation: "Conversation", round_length: int | None = None) -> str:
    """The text for this proposal: today's, or the journaled one where a call is recorded already.

    Args:
        context: of the trial to propose.
        conversation: its LLM calls.
        round_length: trials of BO in a round of a hybrid; None for other agents.
    """
    return journaled(context, conversation.replay, lambda: _left(context, conversation, round_length))


def journaled(context: "Context", replay: str, tell: Callable[[], str]) -> str:
    """The text that `tell` gives now, or the journaled one where a call is recorded already."""
    journal = Path(context.folder) / f"i{context.iteration}" / "llm" / FILE
    if replay != "off" and any(journal.parent.glob("[0-9]*.json")):
        return journal.read_text(encoding="utf-8").strip() if journal.exists() else ""
    text = tell()
    if replay != "strict":
        write_text(journal, text + "\n")
    return text


def _left(context: "Context", conversation: "Conversation", round_length: int | None) -> str:
    lines = []
    if context.iterations is not None:
        after = max(0, context.iterations - context.iteration)
        come = "trial comes" if after == 1 else "trials come"
        at_most = "at most " if context.budget_left else ""
        lines.append(f"Trial {context.iteration} of {at_most}{context.iterations}; {at_most}{after} {come} after it.")
        if round_length is not None:
            lines.append(
                f"With {round_length} trials of BO in each round, {after // (round_length + 1)} rounds follow."
            )
    if context.budget_left is not None:
        lines.append(f"The search goes on until its budget is used: {context.budget_left}.")
    lines += [f"{amount} left for calls to you in this search." for amount in conversation.left()]
    lines.append(f"A reply may have {conversation.settings.max_tokens} tokens, reasoning included.")
    return "\n".join(f"- {line}" for line in lines)
