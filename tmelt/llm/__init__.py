"""The one place that talks to language models: asking, retrying, recording, replaying, paying.

    conversation = Conversation(LLMSettings(model="openai:gpt-5-nano"), folder, Spent(), replay="fill")
    answer = conversation.ask(system="…", user="…", parse=extract_json, purpose="propose")

Importing this package is cheap: the names below are loaded at their first use, and LangChain only when a call is due.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tmelt.llm.budget import Spent as Spent
    from tmelt.llm.conversation import Conversation as Conversation
    from tmelt.llm.conversation import conversation_for as conversation_for
    from tmelt.llm.errors import BudgetSpent as BudgetSpent
    from tmelt.llm.errors import NoUsableReply as NoUsableReply
    from tmelt.llm.errors import ReplyError as ReplyError
    from tmelt.llm.extract import apply_edits as apply_edits
    from tmelt.llm.extract import extract_code as extract_code
    from tmelt.llm.extract import extract_edits as extract_edits
    from tmelt.llm.extract import extract_json as extract_json
    from tmelt.llm.settings import LLMSettings as LLMSettings

_MODULES = {
    "BudgetSpent": "errors",
    "Conversation": "conversation",
    "LLMSettings": "settings",
    "NoUsableReply": "errors",
    "ReplyError": "errors",
    "Spent": "budget",
    "apply_edits": "extract",
    "conversation_for": "conversation",
    "extract_code": "extract",
    "extract_edits": "extract",
    "extract_json": "extract",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
