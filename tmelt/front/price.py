"""What a study may cost at most, from its config."""

from tmelt.config import Config
from tmelt.llm.settings import LLMSettings
from tmelt.strategies.options import read_options
from tmelt.strategies.registry import kind_of


def models(config: Config) -> dict[str, LLMSettings]:
    """Return how each strategy that asks an LLM asks it, by the strategy's name; scripted ones are left out."""
    found: dict[str, LLMSettings] = {}
    for name, strategy in config.extent.strategies.items():
        if kind_of(strategy.kind).agent:
            told = {key: value for key, value in strategy.options.items() if key in LLMSettings.model_fields}
            settings: LLMSettings = read_options(LLMSettings, told, name)
            if not settings.scripted:
                found[name] = settings
    return found


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
