"""The offline researcher: a scripted chat model, not an LLM, that stands where an LLM would.

It answers in the same form as an LLM, so the whole path (prompt, reply, check, record, budget, replay) runs without a
key. What it knows is its briefing (tmelt.strategies.briefing), which is recorded with the request: it reads no prompt,
so editing one cannot break it. It proposes the next thing that a textbook would, skipping what was tried. The same
briefing, the same earlier replies and the same seed of the search give the same reply.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def playbook(search_seed: int) -> "BaseChatModel":
    """The scripted model of one search; LangChain is imported here and not before."""
    from tmelt.strategies.playbook.model import Playbook

    return Playbook(search_seed=search_seed)
