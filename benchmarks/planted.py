"""Whether the playbook's advantage is knowledge: searches from baselines with faults that no book names.

    python benchmarks/planted.py                 # 5 sets of planted faults and the published ones: half an hour
    python benchmarks/planted.py --seeds 2

Per baseline, the playbook as a restricted agent (`ra`), and searches that make random moves of as many knobs from the
same incumbents without any knowledge (`local`), on the study of studies/controls.yaml. A row has the improvement of
each over trial 0 by the objective, validation MAE in °C: the median of its searches, lowest and highest, and `wins`,
the share of pairs of searches in which the playbook's improves more. Knowledge of the published faults shows in the
first row alone.
"""

import statistics
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from benchmark_table import publish

from tmelt.command import run_command
from tmelt.storage.files import write_text

CONFIG = Path("studies/controls.yaml")


def benchmark_planted(
    *, seeds: int = 5, searches: int = 2, iterations: int = 8, output: Path = Path("results/benchmarks/planted.parquet")
) -> None:
    """Run a study of `ra` and `local` per baseline, as far as it is not there yet."""
    baselines: list[Any] = ["published", *({"planted": 3, "seed": seed} for seed in range(seeds))]
    rows = [_row(baseline, searches, iterations) for baseline in baselines]
    publish(rows, output, f"{iterations} trials a search, {searches} searches of each, 3 training seeds")


def _row(baseline: Any, searches: int, iterations: int) -> dict[str, Any]:
    label = baseline if isinstance(baseline, str) else f"planted, seed {baseline['seed']}"
    trials = _trials(baseline, f"planted_{label.replace(', ', '_').replace(' ', '')}", searches, iterations)
    gains: dict[str, list[float]] = {"ra": [], "local": []}
    for (arm, _), search in sorted(trials.group_by("strategy", "trajectory"), key=lambda part: part[0]):
        gains[arm].append(_gain(search))
    row = {"baseline": label, "trial_0": trials.filter(iteration=0)["val_mae"].mean()}
    for arm, found in gains.items():
        row |= {arm: statistics.median(found), f"{arm}_lowest": min(found), f"{arm}_highest": max(found)}
    pairs = [(agent > other) + (agent == other) / 2 for agent in gains["ra"] for other in gains["local"]]
    return row | {"wins": statistics.mean(pairs)}


def _trials(baseline: Any, name: str, searches: int, iterations: int) -> pl.DataFrame:
    """The trials of the study of this baseline, which is run first."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["study"] = name
    config["design"]["baseline"] = baseline
    strategies = {"ra": {"kind": "ra", "model": "playbook"}, "local": {"kind": "local"}}
    config["extent"] |= {"iterations": iterations, "trajectories": searches, "strategies": strategies}
    place = Path("results/benchmarks") / f"{name}.yaml"
    write_text(place, yaml.safe_dump(config))
    table = Path("results") / name / "tables" / "trials.parquet"
    command = ["snakemake", "--profile", "profiles/default", "--configfile", str(place), "--", str(table)]
    subprocess.run(command, check=True)
    return pl.read_parquet(table)


def _gain(search: pl.DataFrame) -> float:
    """What the last incumbent gained over trial 0, in °C."""
    kept = search.filter((pl.col("iteration") == 0) | (pl.col("decision") == "keep")).sort("iteration")
    return kept["val_mae"][0] - kept["val_mae"][-1]


if __name__ == "__main__":
    run_command(benchmark_planted)
