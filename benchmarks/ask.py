"""What one ask costs: a fresh process with one thread, imports and reading the history included.

    python benchmarks/ask.py                     # after 100 and 1,000 trials: 2 minutes
    python benchmarks/ask.py --full              # every sampler after 1,000 trials, three times each: 10 minutes

Peer: Optuna alone, told the same trials (benchmarks/plain_optuna.py), imports included as well. The difference is what
the project adds: its history and its chain of hashes, the conditional space, asks until a configuration is new. The
least CPU time of the repeats counts.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmark_table import publish

from tmelt.command import run_command

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
PLAIN = Path(__file__).with_name("plain_optuna.py")
# name: kind, options, the peer's sampler, and repeats after many trials unless --full.
ARMS = {
    "random": ("random", {}, None, 3),
    "tpe": ("bo", {"sampler": "tpe"}, "tpe", 3),
    "gp": ("bo", {"sampler": "gp"}, "gp", 1),
    "cmaes": ("bo", {"sampler": "cmaes"}, None, 0),  # a history of 1,000 of its own samples takes minutes to make
    "qmc": ("bo", {"sampler": "qmc"}, None, 1),
}
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
MANY = 500
ADDED_S = 1.0  # target: no more than this beyond the library's own ask


def ask(
    *,
    trials: list[int] = [100, 1000],  # noqa: B006 - read by run_command, never changed
    repeats: int = 3,
    full: bool = False,
    output: Path = Path("results/benchmarks/ask.parquet"),
) -> None:
    """Time one proposal per sampler after so many trials."""
    sys.path.insert(0, str(TESTS))
    from simulation import Landscape, simulate, write_history

    from tmelt.search.history import History
    from tmelt.search.knobs import Space

    landscape = Landscape(Space(), failing=0.1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        common = simulate("random", max(trials) - 1, landscape=landscape)
        for arm, (kind, options, peer, few) in ARMS.items():
            counts = [count for count in trials if full or few or count < MANY]
            # CMA-ES is told nothing but its own samples.
            own = options.get("sampler") == "cmaes"
            history = simulate(kind, max(counts) - 1, landscape=landscape, options=options) if own else common
            for count in counts:
                path, plain = Path(folder) / f"{arm}{count}.parquet", Path(folder) / f"{arm}{count}.json"
                write_history(path, History(history[:count]))
                plain.write_text(json.dumps(_told(history[:count], landscape.space, flat=peer == "gp")))
                ours = [sys.executable, "-m", "tmelt.testing.simulation", str(path), kind, json.dumps(options)]
                theirs = [sys.executable, str(PLAIN), str(plain), peer] if peer else None
                often = repeats if full or count < MANY else min(repeats, few)
                wall_s, cpu_s = _least(ours, often)
                peer_s = _least(theirs, often)[1] if theirs else None
                rows.append(
                    {
                        "sampler": arm,
                        "trials": count,
                        "wall_s": wall_s,
                        "cpu_s": cpu_s,
                        "optuna_alone_cpu_s": peer_s,
                        "added_cpu_s": cpu_s - peer_s if peer else None,
                        "target_added_s": ADDED_S if peer else None,
                    }
                )
                print(f"{arm} {count}: {rows[-1]}", file=sys.stderr, flush=True)
    publish(rows, output, "One ask in a fresh process with one thread, imports and the history's reading included")


def _told(history: Any, space: Any, flat: bool) -> dict[str, Any]:
    """The same trials for Optuna alone: rows of the space; values and score, null where a trial failed.

    `flat` is what the project tells Optuna's Gaussian process, which knows no conditions and no failures: inactive
    knobs at their defaults, failed trials with the largest error measured.
    """
    knobs = [(knob.name, knob.kind, knob.low, knob.high, knob.log, knob.choices) for knob in space]
    inactive = {knob.name: knob.default for knob in space} if flat else {}
    failed = max(trial.val_mae for trial in history if trial.ok) if flat else None
    trials = [({**inactive, **trial.knobs}, trial.val_mae if trial.ok else failed) for trial in history]
    return {"space": knobs, "trials": trials}


def _least(command: list[str], repeats: int) -> tuple[float, float]:
    """The least wall-clock and CPU seconds of a process."""
    times = [_one_process(command) for _ in range(repeats)]
    return min(wall for wall, _ in times), min(cpu for _, cpu in times)


def _one_process(command: list[str]) -> tuple[float, float]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | THREADS)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    run_command(ask)
