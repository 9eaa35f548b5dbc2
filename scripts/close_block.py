"""End a block of trials: may the search go on, or has it stopped?

Reads   history.parquet of the block's last trial
Writes  blocks/{iteration}.json
"""

from dataclasses import asdict
from pathlib import Path

from tmelt.command import run_command
from tmelt.search.history import History
from tmelt.search.notes import Ended, Stop, UsedUp
from tmelt.storage.files import write_json


def close_block(*, history: Path, block: Path) -> None:
    """Write whether the search continues; if not, since which trial, why, under which circumstances, at what price."""
    stopped = next((trial for trial in History.read(history) if trial.status == "stopped"), None)
    if stopped is None:
        write_json(block, {"status": "continue"})
        return
    write_json(
        block,
        {
            "status": "stopped",
            "stopped_at": stopped.iteration,
            "reason": stopped.error,
            "cause": ended.cause if (ended := stopped.note(Ended)) else None,
            "circumstances": note.circumstances if (note := stopped.note(Stop)) else None,
            "llm_calls": stopped.llm_calls,
            **({"used_up": asdict(spent)} if (spent := stopped.note(UsedUp)) else {}),
        },
    )


if __name__ == "__main__":
    run_command(close_block)
