"""Name of a model in a study: what a probe of it depends on."""

from collections.abc import Mapping
from typing import Any

from tmelt.files import sha256_json

_DEPENDS_ON = ("model", "base_url", "api_key_env", "temperature", "max_tokens", "extra")


def model_id(options: Mapping[str, Any], memory_tokens: int) -> str | None:
    """Return the name of a strategy's model with its server and parameters; None for the scripted playbook.

    Args:
        options: of the strategy.
        memory_tokens: the longest history in its prompts, where the options name none.
    """
    if options.get("model") in (None, "playbook"):
        return None
    identity = {name: options[name] for name in _DEPENDS_ON if options.get(name) is not None}
    memory = options.get("memory_tokens", memory_tokens)
    return sha256_json([identity, memory, bool(options.get("budget"))])[:12]
