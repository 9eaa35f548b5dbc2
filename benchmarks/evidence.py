"""Whether intervals hold and claims are true, in simulated studies whose truth is known.

    python benchmarks/evidence.py                      # 60 worlds a setting: some minutes
    python benchmarks/evidence.py --worlds 400         # the figures of benchmarks/README.md
    python benchmarks/evidence.py --aa                 # and an A/A test of real trainings of the default baseline

Every row is one kind of study without an effect (tmelt.evidence.worlds): the share of all 95 % intervals that hold the
truth, and the share of studies in which the decision rule claims anything at all, which is always false here. With an
effect the last column is the share of studies in which the better strategy is established against every other one.
Limits: 93 to 97 % and 5 %, with the Monte Carlo error of the row beside them.
"""

import itertools
import math
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from benchmark_table import publish

from tmelt.command import run_command
from tmelt.evidence.aa import aa_study, baseline_runs, excluding_zero
from tmelt.evidence.worlds import World, draw, statements, truth
from tmelt.storage.files import write_text

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "common seed shifts": {"common": 0.8},
    "deterministic arms": {"deterministic": 3},
    "copied searches": {"copying": 2, "deterministic": 2},
    "heavy tails": {"tails": "heavy"},
    "30 % failures": {"failing": 0.3},
    "one dominant family": {"families": "dominant"},
    "one dominant group": {"dominant_group": True},
}
SEARCHES = (1, 3, 5, 10)
PROTEINS = (72, 300, 1000)


def benchmark_evidence(
    *,
    worlds: int = 60,
    searches: list[int] = list(SEARCHES),  # noqa: B006 - read by run_command, never changed
    proteins: list[int] = list(PROTEINS),  # noqa: B006
    arms: int = 6,
    seeds: int = 5,
    aa: bool = False,
    output: Path = Path("results/benchmarks/evidence.parquet"),
) -> None:
    """Coverage of intervals and rate of false claims per kind of study."""
    rows = []
    for count, size in itertools.product(searches, proteins):
        base = World(arms=arms, searches=count, seeds=seeds, proteins=size, between=0.3 if count > 1 else 0.0)
        for kind, settings in KINDS.items():
            rows.append(
                {"study": kind, "searches": count, "proteins": size} | _measured(replace(base, **settings), worlds)
            )
        if count >= 5:
            effect = replace(base, arms=2, effect=1.0)
            rows.append({"study": "2 arms, 1 °C", "searches": count, "proteins": size} | _measured(effect, worlds))
    if aa:
        rows += list(_real())
    publish(rows, output, f"{worlds} studies a row, {arms} strategies, {seeds} fresh seeds")


def _measured(world: World, worlds: int) -> dict[str, Any]:
    """Coverage, false claims and power of one kind of study, and the Monte Carlo error of the claims' rate."""
    covered, claims, found = [], 0, 0
    for number in range(worlds):
        drawn = draw(world, np.random.default_rng(number))
        rows = statements(drawn).to_dicts()
        covered += [row["low"] <= truth(drawn, row) <= row["high"] for row in rows if row["low"] is not None]
        decided = [row for row in rows if row["verdict"] in ("a better", "b better")]
        claims += any(not truth(drawn, row) * row["difference"] > 0 for row in decided)
        found += bool(world.effect) and all(
            row["verdict"] == "a better" for row in rows if row["a"] == "s0" and row["b"].startswith("s")
        )
    rate = claims / worlds
    return {
        "coverage": float(np.mean(covered)),
        "false_claims": rate,
        "error": math.sqrt(max(rate, 1 / worlds) * (1 - rate) / worlds),
        "established": found / worlds if world.effect else None,
    }


def _real() -> Iterator[dict[str, Any]]:
    """The A/A test: 14 real trainings of the default study's baseline, in results/aa."""
    config = Path("results/aa.yaml")
    write_text(config, yaml.safe_dump(aa_study(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))))
    command = ["snakemake", "--profile", "profiles/default", "--configfile", str(config)]
    subprocess.run([*command, "--", "results/aa/evidence/labels.parquet"], check=True)
    errors, clusters = baseline_runs(Path("results/aa"))
    for seeds in (2, 3, 5):
        outside = excluding_zero(errors, clusters, seeds)
        yield {
            "study": f"A/A, {seeds} seeds",
            "searches": 1,
            "proteins": len(clusters),
            "coverage": 1 - outside,
            "false_claims": outside,
            "error": None,
            "established": None,
        }


if __name__ == "__main__":
    run_command(benchmark_evidence)
