"""What cheap trials are worth: `asha`, `hyperband` and `bohb` against `random` and `bo` on the same full trials.

    python benchmarks/fidelity.py                 # 20 searches a row: some minutes
    python benchmarks/fidelity.py --searches 40

Searches on simulated landscapes (tmelt.testing.simulation), each arm on the same ones. A cheap training with the share
f differs from a full one by a random amount for each configuration, whose standard deviation is `unlike` times
log2(1/f); the rank correlations with full trainings that this means are in the table. A row has the error without
noise, in target units, of the full trial with the lowest validation error (5 is the best there is), and the gain over
`random` on the same landscape with its standard error over searches.
"""

import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_table import publish
from scipy.stats import spearmanr

from tmelt.command import run_command
from tmelt.search.knobs import Space
from tmelt.strategies.random import draw
from tmelt.testing.simulation import Landscape, simulate

UNLIKE = (0.05, 0.15, 0.3, 1.0)
FULL = ("random", "bo")
CHEAP = ("asha", "hyperband", "bohb")
CONFIGURATIONS = 200  # for a rank correlation


def benchmark_fidelity(
    *, searches: int = 20, trials: int = 30, output: Path = Path("results/benchmarks/fidelity.parquet")
) -> None:
    """Compare the arms at `trials` full trials a search."""
    publish(list(_rows(searches, trials)), output, f"{searches} searches a row, {trials} full trials each")


def _rows(searches: int, trials: int) -> Iterator[dict[str, Any]]:
    base: list[float] = []
    for kind in FULL:
        found = [_search(kind, trials, number, UNLIKE[0]) for number in range(searches)]
        base = base or [error for error, _ in found]
        yield _row(kind, None, found, base)
    for unlike in UNLIKE:
        for kind in CHEAP:
            found = [_search(kind, trials, number, unlike) for number in range(searches)]
            yield _row(kind, unlike, found, base)


def _search(kind: str, trials: int, number: int, unlike: float) -> tuple[float, int]:
    """(error without noise of the best full trial, trials) of one search."""
    landscape = Landscape(Space(), seed=number, unlike=unlike)
    history = simulate(kind, full=trials, landscape=landscape, trajectory=number)
    best = min((trial for trial in history if trial.ok and trial.full), key=lambda t: (t.val_mae, t.iteration))
    return landscape.mae(best.knobs), len(history) - 1


def _row(kind: str, unlike: float | None, found: list[tuple[float, int]], base: list[float]) -> dict[str, Any]:
    errors = [error for error, _ in found]
    gains = [other - error for other, error in zip(base, errors, strict=True)]
    correlations = (None, None) if unlike is None else (_correlation(unlike, 1 / 9), _correlation(unlike, 1 / 3))
    return {
        "strategy": kind,
        "rho_1_9": correlations[0],
        "rho_1_3": correlations[1],
        "trials": statistics.mean(trials for _, trials in found),
        "error": statistics.mean(errors),
        "gain": statistics.mean(gains),
        "se": statistics.stdev(gains) / math.sqrt(len(gains)),
        "better": sum(gain > 0 for gain in gains),
    }


def _correlation(unlike: float, share: float) -> float:
    """Spearman's correlation of cheap with full trainings over random configurations, mean over five landscapes."""
    found = []
    for seed in range(5):
        landscape = Landscape(Space(), seed=seed, unlike=unlike)
        generator = np.random.default_rng(seed)
        knobs = [draw(landscape.space, generator) for _ in range(CONFIGURATIONS)]
        cheap = [landscape.measure(each, 0, share) for each in knobs]
        found.append(spearmanr(cheap, [landscape.mae(each) for each in knobs]).statistic)
    return float(np.mean(found))


if __name__ == "__main__":
    run_command(benchmark_fidelity)
