"""What a study may cost at most, from its config."""

from tmelt.config import Config
from tmelt.llm.settings import LLMSettings
from tmelt.strategies.options import read_options
from tmelt.strategies.registry import kind_of


def models(config: Config) -> dict[str, LLMSettings]:
    """Return how each strategy that asks an LLM asks it, by the strategy's name; scripted ones are left out."""
    found: dict[str, LLMSettings] = {}
    for name, strategy in config.extent.strategies.items():
        kind = kind_of(strategy.kind)
        if kind.agent and not kind.external:
            told = {key: value for key, value in strategy.options.items() if key in LLMSettings.model_fields}
            settings: LLMSettings = read_options(LLMSettings, told, name)
            if not settings.scripted:
                found[name] = settings
    return found


def coders(config: Config) -> dict[str, str]:
    """Return the program that each coding agent is, by the strategy's name."""
    chosen = {name: each for name, each in config.extent.strategies.items() if kind_of(each.kind).external}
    return {name: each.options["command"][0] for name, each in chosen.items()}


def most_usd(config: Config) -> float | None:
    """Return the most that all LLM calls may cost; None if no LLM is asked, or one without a limit in dollars."""
    limits = [settings.budget.usd if settings.budget else None for settings in models(config).values()]
    known = [limit for limit in limits if limit is not None]
    return config.extent.trajectories * sum(known) if limits and len(known) == len(limits) else None


def training_hours(config: Config) -> float:
    """Return the most core hours (GPU hours on a GPU) that the budget grants to all runs of the searches."""
    extent, budget = config.extent, config.design.budget
    runs = len(extent.strategies) * extent.trajectories * (extent.iterations + 1) * len(extent.seeds)
    threads = config.runtime.threads if config.design.device == "cpu" else 1
    return runs * (budget.fit_s + 2 * budget.predict_s) * threads / 3600
