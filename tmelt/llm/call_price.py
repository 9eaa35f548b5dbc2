"""What a call costs, by the settings or by the listed prices of tokens; an unknown price stays unknown."""

from typing import TYPE_CHECKING

from tmelt.prices.listed import read_prices

if TYPE_CHECKING:
    from tmelt.llm.settings import LLMSettings, Price


def price_of(settings: "LLMSettings") -> tuple["Price | None", str]:
    """The price of the model, and where it comes from.

    The price file speaks of the providers' own servers: with a `base_url` only `settings.price` counts.
    """
    from tmelt.llm.settings import Price

    if settings.price is not None:
        return settings.price, "settings"
    if settings.scripted:
        return Price(input=0, output=0), "scripted"
    listed = read_prices()
    price = None if settings.base_url else listed.tokens.get(settings.model)
    if price is None:
        return None, "unknown"
    return Price(**price._asdict()), f"tokens.yaml {listed.token_version}"


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
