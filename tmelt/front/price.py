"""What a study may cost at most, from its config."""

from typing import Any

from tmelt.llm.settings import LLMSettings
from tmelt.strategies.options import read_options
from tmelt.strategies.registry import kind_of
from tmelt.study.config import Config


def models(config: Config) -> dict[str, LLMSettings]:
    """Return how each strategy that asks an LLM asks it, by the strategy's name; scripted ones are left out."""
    found: dict[str, LLMSettings] = {}
    for name, options in _agents(config).items():
        if "model" in options:  # a command of the user's has none
            told = {key: value for key, value in options.items() if key in LLMSettings.model_fields}
            settings: LLMSettings = read_options(LLMSettings, told, name)
            if not settings.scripted:
                found[name] = settings
    return found


def commands(config: Config) -> list[str]:
    """Return the strategies whose agent is a command of the user's, which calls its own model."""
    return [name for name, options in _agents(config).items() if "model" not in options]


def limits_usd(config: Config) -> dict[str, float | None]:
    """Return the most dollars of one search, by the strategy's name, of all that may cost some; None: no limit."""
    return {
        name: (_agents(config)[name].get("budget") or {}).get("usd") for name in [*models(config), *commands(config)]
    }


def most_usd(config: Config) -> float | None:
    """Return the most that all agents may cost; None if there is none, or one without a limit in dollars."""
    limits = limits_usd(config).values()
    known = [limit for limit in limits if limit is not None]
    return config.extent.trajectories * sum(known) if limits and len(known) == len(limits) else None


def _agents(config: Config) -> dict[str, dict[str, Any]]:
    """Options of the strategies that ask an LLM, or start a program that does."""
    return {
        name: strategy.options for name, strategy in config.extent.strategies.items() if kind_of(strategy.kind).agent
    }


def training_hours(config: Config) -> float:
    """Return the most core hours (GPU hours on a GPU) that the budget grants to all runs of the searches."""
    extent, budget = config.extent, config.design.budget
    runs = extent.trials * len(extent.seeds)
    threads = config.runtime.threads if config.design.device == "cpu" else 1
    return runs * (budget.fit_s + 2 * budget.predict_s) * threads / 3600
