"""What jobs take and how they hang together: threads, minutes, megabytes, blocks and groups, from a study's config."""

import itertools
from decimal import Decimal

from tmelt.strategies.registry import kind_of
from tmelt.study.config import Config

OVERHEAD_MB = 1500  # Snakemake (twice, in a job of a cluster) and the harness


def training_threads(config: Config) -> int:
    """Cores of a training job. On a GPU its seeds train side by side, and each of them needs a core that feeds it."""
    together = config.design.device == "cuda" and config.runtime.seeds_per_job == "all"
    return config.runtime.threads * (len(config.extent.seeds) if together else 1)


def side_by_side(config: Config, threads: int) -> int:
    """How many seeds of a candidate train at once on so many cores: as many as there are cores for."""
    if config.runtime.seeds_per_job != "all":
        return 1
    return min(max(1, threads // config.runtime.threads), len(config.extent.seeds))


def training_minutes(config: Config, seeds: int, threads: int) -> int:
    """Upper bound for training so many seeds: a rehearsal, then one after another as far as not side by side."""
    budget = config.design.budget
    rounds = 1 + -(-seeds // side_by_side(config, threads))
    longest = max(1.5, budget.wall_factor if config.design.device == "cpu" else 1.0)  # in wall-clock time
    return int(3 + rounds * longest * (budget.fit_s + 3 * budget.predict_s) / 60)


def training_megabytes(config: Config, threads: int) -> int:
    """The candidates' memory budgets, and what is around them."""
    return config.design.budget.memory_mb * side_by_side(config, threads) + OVERHEAD_MB


def blocks(iterations: int, block: int) -> list[range]:
    """The trials of each block, 0 to `iterations`, in order."""
    starts = [*range(0, iterations + 1, block), iterations + 1]
    return [range(start, end) for start, end in itertools.pairwise(starts)]


def extent_name(config: Config, strategy: str) -> str:
    """Name of the extent of a strategy's searches.

    It is in the names of what is gathered over a search, so that an extended one is never mistaken for a finished one.
    """
    extent = config.extent
    name = f"n{extent.trials_of(strategy)}_s{len(extent.seeds)}"
    if extent.limit is None:
        return name
    unit, amount = extent.limit
    return f"{name}_{unit}{Decimal(repr(amount)):f}"


def job_group(config: Config, strategy: str, trajectory: int, iteration: int) -> str:
    """Name of the cluster job that a trial is part of: train and score of the trial, or the whole trials of its block.

    An agent's proposals stay out, because a compute node may have no network.
    """
    search = f"{config.study}-{strategy}-t{trajectory}"
    if config.runtime.group == "trial" or kind_of(config.extent.strategies[strategy].kind).agent:
        return f"{search}-i{iteration}"
    return f"{search}-b{iteration // config.runtime.block}"


def plan_name(config: Config) -> str:
    """Name of the confirmation's plan. It says what is wanted, so that more of it is planned anew."""
    evidence = config.evidence
    wanted = [f"k{evidence.incumbents}", f"c{config.extent.confirm_seeds}", *sorted(set(evidence.purposes))]
    if evidence.every_search:
        wanted.append("every")
    if "interaction" in evidence.purposes:
        wanted.append(f"i{evidence.interaction_runs}")
    return f"plan_{'_'.join(wanted)}.parquet"
