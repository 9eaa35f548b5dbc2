"""A stopped search stays stopped for the rest of its block."""

from tmelt.search.history import History, Proposal

UNUSABLE = "unusable_replies"  # the cause of a stop that leaves its strategy out of every comparison


def continue_stop(history: History) -> Proposal | None:
    """The stop again, if the last trial was one; a stop trains nothing and asks no LLM."""
    if not history or history[-1].status != "stopped":
        return None
    last = history[-1]
    return Proposal(
        knobs=last.knobs, script="", origin=last.origin, status="stopped", parent=last.parent, error=last.error
    )
