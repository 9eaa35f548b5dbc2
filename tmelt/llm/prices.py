"""What a call costs, by the price file `prices.yaml` beside this module; an unknown price stays unknown."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tmelt.llm.settings import LLMSettings, Price

_FILE = Path(__file__).with_name("prices.yaml")


@cache
def _file() -> dict[str, Any]:
    import yaml

    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def price_of(settings: "LLMSettings") -> tuple["Price | None", str]:
    """The price of the model, and where it comes from.

    The price file speaks of the providers' own servers: with a `base_url` only `settings.price` counts.
    """
    from tmelt.llm.settings import Price

    if settings.price is not None:
        return settings.price, "settings"
    if settings.scripted:
        return Price(input=0, output=0), "scripted"
    row = None if settings.base_url else _file()["models"].get(settings.model)
    if row is None:
        return None, "unknown"
    fields = {name: row[name] for name in ("input", "output", "cached_input") if name in row}
    return Price(**fields), f"prices.yaml {_file()['version']}"


def cost_usd(
    price: "Price | None", prompt_tokens: int | None, completion_tokens: int | None, cached_tokens: int = 0
) -> float | None:
    """USD of one call; None when the price or the usage is unknown (a price of 0 is known whatever the usage)."""
    if price is None:
        return None
    if price.input == price.output == 0:
        return 0.0
    if prompt_tokens is None or completion_tokens is None:
        return None
    cached = min(cached_tokens, prompt_tokens) if price.cached_input is not None else 0
    total = (
        (prompt_tokens - cached) * price.input + cached * (price.cached_input or 0) + completion_tokens * price.output
    )
    return round(total / 1e6, 9)
