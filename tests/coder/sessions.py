"""Proposals of coding agents in tests: a simulated history, real sessions."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the simulator, when run as a program
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "harness"))

from simulation import simulate
from small_data import RIDGE

from tmelt.coder.session import Sessions
from tmelt.search.history import History
from tmelt.search.knobs import Space
from tmelt.strategies import Context

AGENT = Path(__file__).with_name("agent.sh")


def a_history(folder: Path, trials: int = 2) -> History:
    """Random trials of a script that is cheap to run, as files of a search."""
    return simulate("random", trials, folder=folder, reference=RIDGE)


def context_for(
    folder: Path, history: History, options: Mapping[str, Any], *, replay: str = "fill", bench: Any = None,
    hidden: Path | None = None, sandbox: str = "auto", source: Path | None = None,
) -> Context:  # fmt: skip
    """The context of the next proposal of a coding agent in `folder`."""
    iteration = len(history)
    sessions = Sessions(
        folder / f"i{iteration}" / "llm", replay, sandbox=sandbox, hidden=hidden or folder, source=source
    )
    return Context(
        study="simulated", strategy="coder", kind="coder", options=options, trajectory=0, iteration=iteration,
        space=Space(), reference=RIDGE, folder=folder, facts={"objective": "mean validation MAE in °C"}, bench=bench,
        sessions=sessions, iterations=12,
    )  # fmt: skip


def shell(text: str) -> dict[str, Any]:
    """Options of an agent that is one shell command, without ./check and ./try."""
    return {"command": ["sh", "-c", text], "tools": "none"}


CHANGE = "echo '# changed' >> train.py"


if __name__ == "__main__":  # python sessions.py FOLDER COMMAND: propose, to be killed
    from tmelt.strategies import propose

    place = Path(sys.argv[1])
    past = a_history(place)
    propose(past, context_for(place, past, shell(sys.argv[2]))).write(place / f"i{len(past)}")
