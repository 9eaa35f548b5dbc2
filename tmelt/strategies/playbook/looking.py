"""How the playbook uses tools: it tries a script out before it proposes it, and looks at a knob before it moves it."""

import json
import re
from collections.abc import Collection, Sequence

from tmelt.strategies.playbook.moves import Move

RESULT = "Result of "  # how the results of tools begin in the text protocol
SHARE = 0.5  # of fit
_FAILED = re.compile(r"^(failed:|not run:|(crash|timeout|oom|disk|invalid|tamper) on )", re.MULTILINE)


def passed(answer: str) -> bool:
    """Whether a message is a result that speaks for going on."""
    return answer.startswith(RESULT) and not _FAILED.search(answer)


def tool_call(offered: Collection[str], move: Move, answers: Sequence[str]) -> str | None:
    """A reply that uses a tool for this move; None where it is not offered, or no calls are left."""
    if not offered or (answers and "(No calls of tools are left." in answers[-1]):
        return None
    if move.edits:
        if "try_out" not in offered:
            return None
        call = {"name": "try_out", "arguments": {"share": SHARE, "knobs": dict(move.changes)}}
    elif move.changes:
        call = {"name": "knob", "arguments": {"name": next(iter(move.changes))}}
    else:
        return None
    return "\n".join([f"```tool\n{json.dumps(call)}\n```\n", *written_edits(move)])


def written_edits(move: Move) -> list[str]:
    """The edits of a move as a reply writes them."""
    return [f"<<<<<<< SEARCH\n{edit.search}=======\n{edit.replace}>>>>>>> REPLACE\n" for edit in move.edits]
