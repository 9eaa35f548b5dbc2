"""The playbook as a LangChain chat model."""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from tmelt.errors import InputError
from tmelt.strategies.playbook.moves import Move, moves
from tmelt.strategies.playbook.situation import Situation

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
        briefing = kwargs.get("briefing")
        if briefing is None:
            raise InputError("playbook: asked without a briefing; only agents of this package can ask it")
        message = AIMessage(
            content=answer(messages, Situation.of(briefing, self.search_seed)),
            response_metadata={"model_name": "playbook", "finish_reason": "stop", "scripted": True},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def answer(messages: Sequence[BaseMessage], situation: Situation) -> str:
    """The reply in a situation; of the messages only the number of earlier replies counts.

    Every reply that was turned down moves on to the next thing on the list.
    """
    turned_down = sum(message.type == "ai" for message in messages)
    move = next(islice(moves(situation), turned_down, None), None)
    if move is None:
        return f"{LABEL} The book has nothing left to say here."
    if "candidates" in situation.asked:
        return write_reply(situation, move, _several(situation, skipped=turned_down))
    return write_reply(situation, move)


def _several(prompt: Situation, skipped: int) -> list[Mapping[str, Any]]:
    """The changes of as many moves as the prompt asks for, no two the same."""
    chosen: list[Mapping[str, Any]] = []
    for move in islice(moves(prompt), skipped, None):
        if move.changes and move.changes not in chosen:
            chosen.append(move.changes)
        if len(chosen) >= prompt.candidates:
            break
    return chosen


def write_reply(prompt: Situation, move: Move, candidates: Sequence[Mapping[str, Any]] = ()) -> str:
    """The move, or several candidates, in the form that is asked for."""
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
    blocks = [f"<<<<<<< SEARCH\n{edit.search}=======\n{edit.replace}>>>>>>> REPLACE\n" for edit in move.edits]
    return "\n".join([text, *blocks])
