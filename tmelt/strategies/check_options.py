"""Check the options of the strategies in the config, before any job starts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tmelt.errors import InputError
from tmelt.strategies.options import read_options
from tmelt.strategies.registry import kind_of

if TYPE_CHECKING:
    from tmelt.study.config import Config


def check_options(strategy: str, kind: str, options: Mapping[str, Any], config: "Config | None" = None) -> None:
    """Check the options of `extent.strategies.<strategy>`, those of a hybrid's inner sampler included.

    Args:
        strategy: its name in the config.
        kind: of the strategy.
        options: of the strategy.
        config: of the study, for kinds whose options depend on its space or its extent.

    Raises:
        InputError: one line that names the key and what is wrong with it. A budget in dollars without a price is wrong.
    """
    declared, own = kind_of(kind), dict(options)
    if declared.mask:
        agent = declared.read(own, strategy).agent
        if declared.hides_task and own.get("tools") not in (None, "none"):
            raise InputError(
                f"config: extent.strategies.{strategy}.tools: an obfuscated view has none, because their results"
                " name the task; remove the key"
            )
        own.pop("agent", None)
        check_options(strategy, agent, own, config)
        return
    if declared.agent and not declared.external:
        limit = config.extent.limit if config is not None else None
        own = _without_llm(own, strategy, in_dollars=limit is not None and limit[0] == "usd")
    checked = declared.checked(own, strategy)
    if getattr(checked, "boundaries", None) is not None:
        from tmelt.study.protocol import REFERENCE

        checked.boundaries.check_reference(REFERENCE.read_text(encoding="utf-8"), strategy)
    if declared.sampler == "inner" and hasattr(checked, "bo"):
        kind_of("bo").checked(checked.bo, f"{strategy}.bo")
    if declared.check and config is not None:
        declared.check(checked, config, strategy)


def _without_llm(options: Mapping[str, Any], strategy: str, *, in_dollars: bool) -> dict[str, Any]:
    """The options without those of the LLM layer, which are checked here.

    Args:
        in_dollars: whether the search has a budget in dollars, besides that of its calls.
    """
    from tmelt.llm import LLMSettings
    from tmelt.llm.call_price import price_of

    asked = {key: value for key, value in options.items() if key in LLMSettings.model_fields}
    settings = read_options(LLMSettings, asked, strategy)
    if settings.budget and settings.budget.usd is not None and price_of(settings)[0] is None:
        raise InputError(
            f"config: extent.strategies.{strategy}.price: budget.usd needs the price of {settings.model}, which is"
            " not known here; set price: {input: …, output: …} (USD per million tokens) or budget: {tokens: …}"
        )
    if in_dollars and price_of(settings)[0] is None:
        raise InputError(
            f"config: extent.strategies.{strategy}.price: extent.until.usd needs the price of {settings.model}, which"
            " is not known here; set price: {input: …, output: …} (USD per million tokens) or until: {device_s: …}"
        )
    return {key: value for key, value in options.items() if key not in asked}
