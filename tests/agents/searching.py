"""Agents searching for real in tests: real conversations and files, the simulator's landscape instead of training."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the simulator, when run as a program

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from simulation import RULE, Landscape, outcome, without_proteins

from tmelt.llm import Conversation, LLMSettings, Spent, conversation_for
from tmelt.search.decision import decide
from tmelt.search.history import History, Proposal, chain_of
from tmelt.search.knobs import Space
from tmelt.strategies import Context, propose
from tmelt.strategies.playbook import playbook
from tmelt.strategies.seeds import seed_of
from tmelt.study.protocol import REFERENCE

SCRIPT = REFERENCE.read_text(encoding="utf-8")
FACTS = {"objective": "mean validation MAE in °C", "proteins": {"fit": 380, "stop": 42}, "budget": {"fit_s": 30}}


class Dictated(BaseChatModel):
    """A chat model that says what a test wrote down, one reply after the other, and keeps what it was asked."""

    replies: list[str]
    prompts: list[Any]

    @property
    def _llm_type(self) -> str:
        return "dictated"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        self.prompts.append([str(message.text) for message in messages])
        assert len(self.prompts) <= len(self.replies), f"asked once too often: {messages[-1].text}"
        message = AIMessage(content=self.replies[len(self.prompts) - 1])
        return ChatResult(generations=[ChatGeneration(message=message)])


def context_for(
    kind: str, folder: Path, history: History, options: Mapping[str, Any] | None = None, replay: str = "fill",
    space: Space | None = None, replies: Sequence[str] | None = None, max_asks: int = 3, trajectory: int = 0,
    bench: Any = None,
) -> Context:  # fmt: skip
    """The context of the next proposal in `folder`; with `replies` a dictated model answers, else the playbook."""
    iteration = len(history)
    options = {"model": "playbook", "max_asks": max_asks, **(options or {})}
    transcripts = folder / f"i{iteration}" / "llm"
    if replies is None:
        seed = seed_of("simulated", kind, trajectory)
        conversation = conversation_for(options, transcripts, history, replay, seed, scripted=playbook)
    else:
        settings = LLMSettings(model="test:dictated", max_asks=max_asks, tools=options.get("tools"))
        conversation = Conversation(settings, transcripts, Spent(), replay, Dictated(replies=list(replies), prompts=[]))
    return Context(
        study="simulated", strategy=kind, kind=kind, options=options, trajectory=trajectory, iteration=iteration,
        space=space or Space(), reference=SCRIPT, folder=folder, conversation=conversation, facts=FACTS,
        bench=bench, iterations=12,
    )  # fmt: skip


def step(history: History, proposal: Proposal, folder: Path, landscape: Landscape | None = None) -> History:
    """Write the proposal and add its simulated outcome."""
    proposal.write(folder / f"i{len(history)}")
    return outcome(history, proposal, landscape or Landscape(Space()))


def crash(history: History, proposal: Proposal, folder: Path, error: str) -> History:
    """Write the proposal and add a crash with this end of its log."""
    after = step(history, proposal, folder, replace(Landscape(Space()), failing=1.0))
    row = {**after[-1].row, "error": error, "status": "crash"}
    row |= decide(history, row, RULE, without_proteins([]))._asdict()
    return History([*history, type(after[-1]).of({**row, "chain": chain_of(history.head, row)})])


def search(kind: str, iterations: int, folder: Path, landscape: Landscape | None = None, **rest: Any) -> History:
    """A search by the playbook."""
    history = History()
    landscape = landscape or Landscape(Space())
    while len(history) <= iterations:
        context = context_for(kind, folder, history, space=landscape.space, **rest)
        history = step(history, propose(history, context), folder, landscape)
    return history


def prompt_of(context: Context) -> str:
    """System and first user message of what a dictated model was asked."""
    return "\n".join(context.conversation._given.prompts[0][:2])


if __name__ == "__main__":  # python searching.py KIND ITERATIONS FOLDER: the last hash of the history's chain
    kind, iterations, folder = sys.argv[1:]
    found = search(kind, int(iterations), Path(folder), Landscape(Space(), failing=0.2))
    print(found.head)
