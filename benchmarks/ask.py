"""What one ask costs: a fresh process with one thread, imports and reading the history included.

`python benchmarks/ask.py` prints a Markdown table and writes results/benchmarks/ask.parquet.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tmelt.command import run_command

ROOT = Path(__file__).resolve().parents[1]
SIMULATION = ROOT / "tests" / "simulation.py"
ARMS = {
    "random": ("random", {}),
    "tpe": ("bo", {"sampler": "tpe"}),
    "gp": ("bo", {"sampler": "gp"}),
    "cmaes": ("bo", {"sampler": "cmaes"}),
    "qmc": ("bo", {"sampler": "qmc"}),
}
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")


def ask(
    *,
    trials: list[int] = [100, 1000],  # noqa: B006 - read by run_command, never changed
    repeats: int = 3,
    output: Path = ROOT / "results" / "benchmarks" / "ask.parquet",
) -> None:
    """Time one proposal per sampler after so many trials; the fastest of the repeats counts."""
    import polars as pl

    from tmelt.schema import write_frame

    sys.path.insert(0, str(SIMULATION.parent))
    from simulation import Landscape, simulate, write_history

    from tmelt.history import History
    from tmelt.knobs import Space

    landscape = Landscape(Space(), failing=0.1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        common = simulate("random", max(trials) - 1, landscape=landscape)
        for arm, (kind, options) in ARMS.items():
            # CMA-ES is told nothing but its own samples.
            own = options.get("sampler") == "cmaes"
            history = simulate(kind, max(trials) - 1, landscape=landscape, options=options) if own else common
            for count in trials:
                path = Path(folder) / f"{arm}{count}.parquet"
                write_history(path, History(history[:count]))
                times = [_one_ask(path, kind, options) for _ in range(repeats)]
                wall_s, cpu_s = (round(min(values), 2) for values in zip(*times, strict=True))
                machine = platform.processor() or platform.machine()
                rows.append({"sampler": arm, "trials": count, "wall_s": wall_s, "cpu_s": cpu_s, "machine": machine})
                print(f"{arm} {count}: {wall_s} s, {cpu_s} s CPU", file=sys.stderr)
    write_frame(output, pl.DataFrame(rows))
    print("| sampler | " + " | ".join(f"{count} trials" for count in trials) + " |")
    print("|---|" + "---|" * len(trials))
    for arm in ARMS:
        cells = [f"{row['wall_s']:.2f} s ({row['cpu_s']:.2f} s CPU)" for row in rows if row["sampler"] == arm]
        print(f"| {arm} | " + " | ".join(cells) + " |")


def _one_ask(history: Path, kind: str, options: dict) -> tuple[float, float]:
    """(wall-clock, CPU) seconds of a process that reads the history and prints the proposal."""
    before, started = os.times(), time.perf_counter()
    command = [sys.executable, str(SIMULATION), str(history), kind, json.dumps(options)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | THREADS)
    wall, after = time.perf_counter() - started, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


if __name__ == "__main__":
    run_command(ask)
