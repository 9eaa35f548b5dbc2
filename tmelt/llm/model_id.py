"""Name of a model in a study, and the longest prompt that it gets there: what a probe of it depends on."""

from collections.abc import Mapping
from typing import Any

from tmelt.llm.tools import ToolLimits
from tmelt.storage.files import sha256_json

# Tokens of a prompt beside the history and results of tools: task and knobs; for agents that write scripts also the
# contract and a script.
_REST, _REST_WITH_SCRIPT = 4_000, 10_000
_DEPENDS_ON = ("model", "base_url", "api_key_env", "temperature", "max_tokens", "extra")


def model_id(kind: str, options: Mapping[str, Any], memory_tokens: int) -> str | None:
    """Return the name of a strategy's model with its server and parameters; None for the scripted playbook.

    Args:
        kind: of the strategy.
        options: of the strategy.
        memory_tokens: the longest history in its prompts, where the options name none.
    """
    if options.get("model") in (None, "playbook"):
        return None
    identity = {name: options[name] for name in _DEPENDS_ON if options.get(name) is not None}
    longest = longest_prompt(kind, options, memory_tokens)
    asks_for_tools = [True] if options.get("tools") not in (None, "none") else []
    return sha256_json([identity, longest, bool(options.get("budget")), *asks_for_tools])[:12]


def longest_prompt(kind: str, options: Mapping[str, Any], memory_tokens: int) -> int:
    """Return how many tokens the longest prompt of a strategy may have, by the count that bounds its history."""
    from tmelt.strategies.registry import asked_kind, kind_of

    rest = _REST_WITH_SCRIPT if asked_kind(kind_of(kind), options).writes_scripts else _REST
    tools = options.get("tools")
    if isinstance(tools, Mapping):
        rest += tools.get("tokens", ToolLimits.model_fields["tokens"].default)
    return options.get("memory_tokens", memory_tokens) + rest
