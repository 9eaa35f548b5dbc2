"""Show what the sandbox stops on this machine, and what it costs.

Reads   tests/sandbox: the attacks and their shooting range
Writes  attacks.csv (attack × backend × user) and overhead.csv, if asked; prints both as tables
"""

import csv
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tmelt.command import run_command
from tmelt.errors import InputError
from tmelt.harness.sandbox import Limits, Phase, Sandbox, SandboxUnavailable, backends

RANGE = Path(__file__).resolve().parents[1] / "tests" / "sandbox"
LIMITS = Limits(wall_s=120, memory_mb=4000, processes=64, file_mb=100, disk_mb=100)
COMPARED = ("none", *reversed(backends.ORDER))


def show_sandbox(
    *, folder: Path | None = None, attacks: bool = True, quick: bool = False, phases: int = 10, pairs: int = 9
) -> None:
    """Attack every backend that this machine has, as root and as an ordinary user; time empty phases and training.

    `quick` leaves out the attacks that take seconds; `phases` is how many are timed per backend, `pairs` how often the
    same training runs inside and outside.
    """
    if not RANGE.is_dir():
        raise InputError(f"{RANGE}: no such folder; run this from a checkout of the project")
    sys.path.append(str(RANGE))
    tables = {"attacks": _attack_rows(quick)} if attacks else {}
    tables["overhead"] = list(_overhead_rows(phases, pairs))
    for name, rows in tables.items():
        _print_table(rows)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{name}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)


def _attack_rows(quick: bool) -> list[dict[str, str]]:
    """One row per attack, one column per backend and user."""
    import attacks
    from users import python_for, users

    names = sorted(set(attacks.ATTACKS) - attacks.SLOW if quick else attacks.ATTACKS)
    rows: dict[str, dict[str, str]] = {name: {"attack": name} for name in names}
    total = {"attack": f"stopped, of {len(names)}"}
    for backend in backends.ORDER:
        if backends.missing(backend, None):
            continue
        for user in users():
            column, python = f"{backend}, {user}", python_for(user)
            if python is None:
                continue
            command = [*python, RANGE / "shooting_range.py", "--backend", backend, "--attack", *names]
            done = subprocess.run(command, capture_output=True, text=True, cwd="/")
            found = {row["attack"]: row for row in map(json.loads, done.stdout.splitlines())}
            if set(found) != set(names):
                raise InputError(f"{column}: the shooting range failed: {done.stderr.strip().splitlines()[-1:]}")
            for name in names:
                rows[name][column] = "stopped" if found[name]["stopped"] else "SUCCEEDS"
            total[column] = str(sum(row["stopped"] for row in found.values()))
    return [*rows.values(), total]


def _overhead_rows(phases: int, pairs: int) -> Iterator[dict[str, str]]:
    """Milliseconds of an empty phase with torch at hand, and the CPU time of training inside against outside."""
    for backend in COMPARED:
        for warm in (True, False):
            try:
                yield _overhead(backend, warm, phases if warm else max(2, phases // 4), pairs if warm else 0)
            except SandboxUnavailable:
                continue


def _overhead(backend: str, warm: bool, phases: int, pairs: int) -> dict[str, str]:
    start_s, start_cpu_s, _ = _time_job(backend, warm, 0)
    _, cpu_s, walls = _time_job(backend, warm, phases)
    return {
        "backend": backend,
        "worker": "one for all phases" if warm else "one per phase",
        "start ms": f"{1000 * start_s:.0f}",
        "start and end, CPU ms": f"{1000 * start_cpu_s:.0f}",
        "phase ms, median": f"{1000 * sorted(walls)[len(walls) // 2]:.0f}",
        "phase ms, best": f"{1000 * min(walls):.0f}",
        "phase, CPU ms": f"{1000 * max(0.0, cpu_s - start_cpu_s) / phases:.0f}",
        "phases": str(phases),
        "training CPU, inside / outside": _describe(_training_ratios(backend, pairs)) if pairs else "",
    }


def _training_ratios(backend: str, pairs: int) -> list[float]:
    """Return CPU seconds of the same training inside over outside, pair by pair.

    The two take turns in being first, so that other load of the machine falls on both.
    """
    ratios = []
    with _open(backend, True) as sandbox:
        for pair in range(pairs):
            used = {}
            for inside in (True, False) if pair % 2 else (False, True):
                used[inside] = _training_inside(sandbox) if inside else _training_outside()
            ratios.append(used[True] / used[False])
    return ratios


def _describe(ratios: list[float]) -> str:
    """Return the median and its interval of at least 95 %, from the order of the values alone (the sign test's).

    Below six values there is no interval, and all of them are shown.
    """
    ordered, outside = sorted(ratios), 0
    while 2 * sum(math.comb(len(ordered), below) for below in range(outside + 1)) <= 0.05 * 2 ** len(ordered):
        outside += 1
    low, high = (ordered[outside - 1], ordered[-outside]) if outside else (ordered[0], ordered[-1])
    return f"{statistics.median(ordered):.3f} ({low:.3f} to {high:.3f}; {len(ordered)} pairs)"


def _open(backend: str, warm: bool) -> Sandbox:
    return Sandbox(backend, preload=("torch",), entry="entries:run", python_path=(RANGE,), warm=warm)


def _time_job(backend: str, warm: bool, phases: int) -> tuple[float, float, list[float]]:
    """Seconds until it can begin; CPU seconds of all of its processes; seconds of each phase."""
    before, started = _children_cpu_s(), time.monotonic()
    walls = []
    with _open(backend, warm) as sandbox:
        start_s = time.monotonic() - started
        for _ in range(phases):
            began = time.monotonic()
            sandbox.run(Phase({"do": "nothing"}, (), (), LIMITS))
            walls.append(time.monotonic() - began)
    return start_s, _children_cpu_s() - before, walls


def _training_inside(sandbox: Sandbox) -> float:
    """CPU seconds of a training, as its phase counts them."""
    outcome = sandbox.run(Phase({"do": "count_cpu_s"}, (), (), LIMITS))
    if outcome.status != "ok":
        raise InputError(f"{sandbox.backend}: training ended as {outcome.status}: {outcome.output[-300:]}")
    return _cpu_s(outcome.output)


def _training_outside() -> float:
    """CPU seconds of the same training in a plain process."""
    code = f"import sys; sys.path.append({str(RANGE)!r}); import entries; entries.count_cpu_s(None)"
    environment = {**os.environ, **backends.clean_environment(1)}
    return _cpu_s(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout)


def _cpu_s(text: str) -> float:
    return float(text.rpartition("CPU_S ")[2])


def _children_cpu_s() -> float:
    """CPU seconds of all processes below this one that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _print_table(rows: list[dict[str, str]]) -> None:
    """As Markdown."""
    columns = list(rows[0])
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for row in rows:
        print("| " + " | ".join(row[column] for column in columns) + " |")
    print(flush=True)


if __name__ == "__main__":
    run_command(show_sandbox)
