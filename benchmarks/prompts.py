"""How long agents' prompts are, and how much of one the next one repeats.

    python benchmarks/prompts.py                 # searches of 1, 12, 100 and 1,000 trials: a minute
    python benchmarks/prompts.py --trials 12

The searches are simulated (tmelt/testing/simulation.py): moves of `local`, with words, reports, curves and errors on
early-stopping proteins as long as a real agent's, and for agents that write scripts a new script in every third trial.
The prompts are those that a model is sent, tools included. There is no peer. The limit of the history in a prompt is
the option `memory_tokens`. Providers bill the beginning that two prompts in a row have in common at a fraction.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmark_table import publish

from tmelt.command import run_command
from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Space
from tmelt.strategies.agent import MEMORY_TOKENS
from tmelt.strategies.tokens import estimate_tokens
from tmelt.study.protocol import REFERENCE

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("ra", "ua", "coder")
NEXT = 10  # consecutive prompts that are compared
FACTS = {
    "objective": "mean over training seeds of the validation MAE in °C; lower is better",
    "proteins": {"fit": 380, "stop": 42, "val": 100, "select": 50, "test": 120},
    "budget": {"fit_s": 30, "predict_s": 30},
    "labels of fit": "mean 55.1 °C, standard deviation 9.8, quartiles 48.0, 53.2 and 60.7, from 31.0 to 94.6",
}


def prompts(
    *,
    trials: list[int] = [1, 12, 100, 1000],  # noqa: B006 - read by run_command, never changed
    output: Path = Path("results/benchmarks/prompts.parquet"),
) -> None:
    """Count the tokens of prompts after so many trials, and of the beginning that each shares with the one before."""
    rows = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            history = simulated(max(trials) + NEXT, Path(folder), scripts=kind != "ra")
            for count in trials:
                rows.append({"agent": kind, "trials": count, **measured(kind, history, count, Path(folder))})
    publish(rows, output, f"Prompts in tokens, counted cautiously; the mean share of {NEXT} prompts in a row")


def measured(kind: str, history: History, count: int, folder: Path, following: int = NEXT) -> dict[str, Any]:
    """Tokens of the prompt after `count` trials, of the history in it, and the share that the next ones repeat.

    Args:
        kind: of the agent.
        history: of more trials, as `simulated` makes it.
        count: of the trials that the first prompt tells of; the baseline is trial 0.
        folder: of the search.
        following: prompts after it.
    """
    told = [prompt(kind, History(history[: last + 1]), folder) for last in range(count, count + following + 1)]
    shares = [estimate_tokens(_beginning(before, after)) / estimate_tokens(after) for before, after in pairwise(told)]
    return {
        "prompt_tokens": estimate_tokens(told[0]),
        "history_tokens": estimate_tokens(told[0].split("### Trials", 1)[1].split("\n# Trial ", 1)[0]),
        "memory_tokens": MEMORY_TOKENS,
        "repeated_share": sum(shares) / len(shares),
    }


def _beginning(one: str, other: str) -> str:
    """What two texts have in common from the start."""
    return one[: sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))]


def prompt(kind: str, history: History, folder: Path) -> str:
    """System and user message that an agent is sent for the next trial; of a coding agent what lies in its folder."""
    from langchain_core.language_models import FakeListChatModel

    from tmelt.llm import Conversation, LLMSettings, Spent
    from tmelt.llm.tools import ToolLimits
    from tmelt.strategies import propose

    sys.path.insert(0, str(ROOT / "tests"))
    from simulation import context_of

    rest = {"reference": REFERENCE.read_text(encoding="utf-8"), "facts": FACTS, "iterations": 1200, "bench": object()}
    context = context_of(kind, len(history), folder=folder, **rest)
    if kind == "coder":
        return _told_coder(history, context)
    with tempfile.TemporaryDirectory() as transcripts:
        settings = LLMSettings(model="test:silent", max_asks=1, tools=ToolLimits())
        silent = FakeListChatModel(responses=["no"])
        conversation = Conversation(settings, Path(transcripts, "llm"), Spent(), "fill", silent)
        propose(history, replace(context, conversation=conversation))
        record = json.loads(Path(transcripts, "llm", "01.json").read_text(encoding="utf-8"))
    return _joined(record["request"]["messages"])


def _told_coder(history: History, context: Any) -> str:
    from tmelt.strategies.coder import KIND, ProposalSession
    from tmelt.strategies.topology import branch_of

    options = KIND.read({"command": ["agent"]}, "coder")
    sessions: Any = SimpleNamespace(replay="off")
    session = ProposalSession(history, context, options, sessions, branch_of(history, context, options))
    return _joined(session.plan().request["messages"])


def _joined(messages: Sequence[dict[str, Any]]) -> str:
    return "\n".join(message["content"] for message in messages)


def simulated(trials: int, folder: Path, *, scripts: bool) -> History:
    """A search of so many trials with everything that an agent's trials leave behind; its scripts lie in `folder`."""
    sys.path.insert(0, str(ROOT / "tests"))
    from simulation import Landscape, simulate

    found = simulate("local", trials, landscape=Landscape(Space(), failing=0.15), reference=_reference())
    return History(list(_dressed(found, folder, scripts)))


def _reference() -> str:
    return REFERENCE.read_text(encoding="utf-8")


def _dressed(history: History, folder: Path, scripts: bool) -> Iterator[Trial]:
    """The trials with an agent's words, its scripts and diagnostics."""
    texts: list[str] = []
    for trial in history:
        number = trial.iteration
        script = texts[trial.parent or 0] if number else _reference()
        if scripts and number % 3 == 1:
            script = script.replace("\n\n\n", f"\n\n# Variant {number}.\n\n\n", 1)
        texts.append(script)
        proposal = Proposal(
            trial.knobs,
            script,
            origin="agent" if number else "baseline",
            parent=trial.parent,
            hypothesis=f"idea {number}: the larger step reaches the plateau sooner, and the smaller batch adds noise",
            rationale=f"trials {max(0, number - 2)} and {max(0, number - 1)} were each a little better than before",
            expected_effect=-0.1 if number else None,
        )
        proposal.write(folder / f"i{number}")
        fields = json.loads((folder / f"i{number}" / "proposal.json").read_text(encoding="utf-8"))
        kept = {key: fields[key] for key in trial.proposal}
        yield replace(
            trial,
            origin=proposal.origin,
            script=proposal.script_sha256,
            proposal_json=json.dumps(kept),
            diagnostics=json.dumps(_diagnostics(number)) if trial.ok else None,
            error=trial.error
            and f"{trial.error}\n" + "  File 'train.py', line 7, in fit\n" * 12 + f"KeyError: {number % 7}",
        )


def _diagnostics(number: int) -> dict[str, Any]:
    groups = [[f"organism {place}", 4, 6.1 + place / 10, 0.3] for place in range(6)]
    bands = [[f"{low} to {low + 10}", 10, 6.2, -0.4] for low in (30, 40, 50, 60)]
    return {
        "epochs": 12 + number % 9,
        "best_epoch": 9,
        "curve": [[epoch, round(9 - epoch / 10, 2)] for epoch in range(1, 17, 2)],
        "predict_s": 1.3,
        "reports": {f"statistic_{place}": 0.25 * place + number for place in range(6)},
        "stop_errors": {
            "mae": 6.3,
            "bias": 0.2,
            "groups": groups,
            "tm": bands,
            "length": bands,
            "calibration": {"slope": 0.9, "sd_predicted": 7.0, "sd_measured": 9.0},
            "worst": [[f"protein {place}", "organism 1", 300, 71.0, -14] for place in range(5)],
        },
    }


if __name__ == "__main__":
    run_command(prompts)
