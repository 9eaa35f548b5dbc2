"""The playbook as a LangChain chat model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from tmelt.llm.playbook.looking import passed, tool_call, written_edits
from tmelt.llm.playbook.moves import Move, moves
from tmelt.llm.playbook.reading import Prompt, read_prompt

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForLLMRun

LABEL = "[playbook: scripted, not an LLM]"


class Playbook(BaseChatModel):
    """A scripted researcher. Its replies carry no token usage: nothing was tokenised.

    `search_seed` stands where an LLM's temperature would: searches with other seeds take other ways through the book.
    """

    search_seed: int = 0

    @property
    def _llm_type(self) -> str:
        return "playbook"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": "playbook", "scripted": True, "search_seed": self.search_seed}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: "CallbackManagerForLLMRun | None" = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = AIMessage(
            content=answer(messages, self.search_seed),
            response_metadata={"model_name": "playbook", "finish_reason": "stop", "scripted": True},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def answer(messages: Sequence[BaseMessage], search_seed: int = 0) -> str:
    """The reply to a system message, a question, and any earlier replies with what was wrong with them.

    Every reply that was turned down moves on to the next thing on the list, and so does a script that failed its try.
    Where there are tools, what is to be proposed is looked at or tried out first.
    """
    texts = {kind: [str(m.text) for m in messages if m.type == kind] for kind in ("system", "human", "ai")}
    system, answers = "\n".join(texts["system"]), texts["human"][1:]
    prompt = replace(read_prompt(system, texts["human"][0]), search_seed=search_seed)
    turned_down = sum(not passed(text) for text in answers)
    move = next(islice(moves(prompt), turned_down, None), None)
    if move is None:
        return f"{LABEL} The book has nothing left to say here."
    if (not answers or not passed(answers[-1])) and (call := tool_call(system, move, answers)):
        return call
    if "candidates" in prompt.asked:
        return write_reply(prompt, move, _several(prompt, skipped=turned_down))
    return write_reply(prompt, move)


def _several(prompt: Prompt, skipped: int) -> list[Mapping[str, Any]]:
    """The changes of as many moves as the prompt asks for, no two the same."""
    chosen: list[Mapping[str, Any]] = []
    for move in islice(moves(prompt), skipped, None):
        if move.changes and move.changes not in chosen:
            chosen.append(move.changes)
        if len(chosen) >= prompt.candidates:
            break
    return chosen


def write_reply(prompt: Prompt, move: Move, candidates: Sequence[Mapping[str, Any]] = ()) -> str:
    """The move, or several candidates, in the form that the program asks for."""
    reply: dict[str, Any] = {}
    if "base" in prompt.asked:
        reply["base"] = "incumbent"
    if "candidates" in prompt.asked:
        reply["candidates"] = [dict(changes) for changes in candidates]
    else:
        reply["changes"] = dict(move.changes)
    if "subspace" in prompt.asked:
        reply |= {"subspace": dict(move.subspace), "subspace_reason": f"{LABEL} {move.subspace_reason}"}
    reply |= {
        "hypothesis": f"{move.title}: {move.why}",
        "rationale": f"{LABEL} {move.grounds}",
        "expected_effect": move.effect,
        "look_up": [],
    }
    text = f"{LABEL}\n\n```json\n{json.dumps(reply, indent=2, ensure_ascii=False)}\n```\n"
    return "\n".join([text, *written_edits(move)])
