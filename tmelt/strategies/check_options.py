"""Are a strategy's options in the config legal? Asked before any job starts."""

import importlib
from collections.abc import Mapping
from typing import Any

from tmelt.errors import InputError
from tmelt.strategies import AGENTS, MODULES
from tmelt.strategies.options import read_options


def check_options(strategy: str, kind: str, options: Mapping[str, Any]) -> None:
    """Check the options of `extent.strategies.<strategy>`, those of a hybrid's inner BO among them.

    Raises:
        InputError: one line that names the key and what is wrong with it, a budget in dollars without a price among it.
    """
    if kind == "bo":
        _check_bo(options, strategy)
        return
    own = dict(options)
    if kind in ("placebo", "obfuscated"):  # an agent seen through a mask: the other options are the agent's
        agent = read_options(importlib.import_module(MODULES[kind]).OPTIONS, own, strategy).agent
        if kind == "obfuscated" and own.get("tools") not in (None, "none"):
            raise InputError(
                f"config: extent.strategies.{strategy}.tools: an obfuscated view has none, because their results"
                " name the task; remove the key"
            )
        own.pop("agent", None)
        check_options(strategy, agent, own)
        return
    if kind in AGENTS:
        from tmelt.llm import LLMSettings
        from tmelt.llm.prices import price_of

        asked = {key: own.pop(key) for key in list(own) if key in LLMSettings.model_fields}
        settings = read_options(LLMSettings, asked, strategy)
        if settings.budget and settings.budget.usd is not None and price_of(settings)[0] is None:
            raise InputError(
                f"config: extent.strategies.{strategy}.price: budget.usd needs the price of {settings.model}, which is"
                " not known here; set price: {input: …, output: …} (USD per million tokens) or budget: {tokens: …}"
            )
    checked = read_options(importlib.import_module(MODULES[kind]).OPTIONS, own, strategy)
    if getattr(checked, "boundaries", None) is not None:
        from tmelt.protocol import REFERENCE

        checked.boundaries.check_reference(REFERENCE.read_text(encoding="utf-8"), strategy)
    if hasattr(checked, "bo"):  # a hybrid
        _check_bo(checked.bo, f"{strategy}.bo")


def _check_bo(options: Mapping[str, Any], strategy: str) -> None:
    from tmelt.strategies.bo import bo_options

    bo_options(options, strategy)
