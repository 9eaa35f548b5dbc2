"""End a block of trials: may the search go on, or has it stopped?

Reads   history.parquet of the block's last trial
Writes  blocks/{iteration}.json
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.files import write_json
from tmelt.history import History
from tmelt.notes import Stop


def close_block(*, history: Path, block: Path) -> None:
    """Write whether the search continues; if not, since which trial, why, and under which circumstances."""
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
            "circumstances": note.circumstances if (note := stopped.note(Stop)) else None,
        },
    )


if __name__ == "__main__":
    run_command(close_block)
