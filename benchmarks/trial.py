"""CPU seconds of one trial besides its training, and where they go.

    python benchmarks/trial.py                   # 4 trials of 3 seeds of the smallest study: a minute or two
    python benchmarks/trial.py --full            # 20 trials of the default study's size

A trial is three jobs: propose (here Bayesian optimisation), train_run (all seeds in one job) and score_trial. They run
as the workflow's rules run them, first by themselves, then under Snakemake. Counted is the CPU time of whole process
trees: sandbox, its workers and every phase included. Training is what the harness measured of the candidate's own
phases (`cpu_s` of the runs). The limits are `python -c pass` for each job, and one import of torch for the trial, with
torch._dynamo, which torch imports in the first step of any optimiser.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import yaml
from benchmark_table import publish

from tmelt.command import run_command
from tmelt.harness.sandbox import Limits, Phase, Sandbox

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "scripts")]
from workflow import Workspace, study  # noqa: E402

SEEDS = [0, 1, 2]
SETTINGS = {"kind": "bo", "startup": 1}
PHASES = 3 * len(SEEDS)  # fit, predict, and predict again with other companions
TARGET_S = 1.5
JOBS = ("propose", "train_run", "score_trial")
LIMITS = Limits(wall_s=120, memory_mb=4000, processes=64, file_mb=100, disk_mb=100)


def benchmark_trial(
    *,
    trials: int = 4,
    full: bool = False,
    folder: Path | None = None,
    output: Path = Path("results/benchmarks/trial.parquet"),
) -> None:
    """Run `trials` trials after the baseline, twice; the medians count. Files go to a temporary folder in `folder`."""
    trials = 20 if full else trials
    with tempfile.TemporaryDirectory(dir=folder, prefix="benchmark_trial_") as name:
        prepared = Workspace(Path(name, "prepared"), _config(full, 1))
        prepared.prepare()
        jobs, training = _by_hand(prepared, trials)
        snakemake = _under_snakemake(prepared, Path(name), full, trials) - sum(jobs.values())
    parts = _parts(prepared.environment())
    preload = parts["torch and torch._dynamo"]
    known = parts["interpreters of the three jobs"] + sum(value for key, value in parts.items() if "imports" in key)
    sandbox = sum(value for key, value in parts.items() if "sandbox" in key)
    parts["work of propose, optuna's import included"] = (
        jobs["propose"] - parts["propose: imports"] - parts["interpreters of the three jobs"] / 3
    )
    parts["the rest of the three jobs"] = (
        sum(jobs.values()) - known - sandbox - preload - parts["work of propose, optuna's import included"]
    )
    parts["Snakemake, for the three jobs"] = snakemake
    overhead = sum(jobs.values()) + snakemake
    rows = [{"part": f"{name}, the whole job less training", "cpu_s": value} for name, value in jobs.items()]
    rows += [{"part": f"of which: {name}", "cpu_s": value} for name, value in parts.items()]
    rows += [
        {"part": "a trial, besides training", "cpu_s": overhead},
        {
            "part": "a trial, besides training and one import of torch",
            "cpu_s": overhead - preload,
            "target_s": TARGET_S,
        },
        {"part": "limit: python -c pass, three times", "cpu_s": parts["interpreters of the three jobs"]},
        {"part": f"training: {len(SEEDS)} seeds", "cpu_s": training},
    ]
    publish(
        [{"part": row["part"], "cpu_s": row["cpu_s"], "target_s": row.get("target_s")} for row in rows],
        output,
        f"One trial with {len(SEEDS)} seeds, CPU seconds (medians of {trials})",
    )


def _config(full: bool, iterations: int) -> dict:
    """A study with one search; with `full` of the default study's data and sizes."""
    config = study(iterations=iterations, seeds=SEEDS, strategies={"bo": SETTINGS}, runtime={"block": 10})
    if full:
        config["design"] = yaml.safe_load((ROOT / "config.yaml").read_text())["design"]
    return config


def _by_hand(space: Workspace, trials: int) -> tuple[dict[str, float], float]:
    """Median CPU seconds of each job without training, and of training, over all trials but the baseline."""
    used: dict[str, list[float]] = {name: [] for name in JOBS}
    trained = []
    for iteration in range(trials + 1):
        commands = _commands(space, iteration)
        seconds = {name: _cpu_s([sys.executable, *words], space) for name, words in commands.items()}
        runs = [space.study / "bo" / "t0" / f"i{iteration}" / f"s{seed}" / "run.parquet" for seed in SEEDS]
        training = sum(pl.read_parquet(run, hive_partitioning=False)["cpu_s"].item() or 0.0 for run in runs)
        seconds["train_run"] -= training
        print(f"trial {iteration}: {seconds}, training {training:.2f}", file=sys.stderr, flush=True)
        if iteration:  # the baseline asks no sampler
            trained.append(training)
            for name, value in seconds.items():
                used[name].append(value)
    return {name: statistics.median(values) for name, values in used.items()}, statistics.median(trained)


def _commands(space: Workspace, iteration: int) -> dict[str, list[str]]:
    """The command lines of rules/trial.smk."""
    (data,) = (space.folder / "results" / "data").iterdir()
    (embedding,) = (space.folder / "results" / "embeddings" / data.name).iterdir()
    search = space.study / "bo" / "t0"
    trial, protocol = search / f"i{iteration}", space.study / "protocol.json"
    before = [search / f"i{iteration - 1}" / "history.parquet"] if iteration else []
    folders = [trial / f"s{seed}" for seed in SEEDS]
    one = ["--strategy", "bo", "--trajectory", 0, "--iteration", iteration]
    commands = {
        "propose": ["--protocol", protocol, *one, "--settings", json.dumps(SETTINGS), "--history", *before,
                    "--replay", "off", "--folder", trial],
        "train_run": ["--protocol", protocol, "--embedding", embedding / "embedding.json",
                      "--proteins", data / "proteins.parquet", "--proposal", trial / "proposal.json",
                      "--seeds", *SEEDS, "--folders", *folders, "--journal", space.study / "journal" / "runs",
                      "--cores", 1],
        "score_trial": ["--protocol", protocol, "--labels", data / "vault" / "val.parquet",
                        "--proposal", trial / "proposal.json", *one, "--runs", *folders, "--history-before", *before,
                        "--trial", trial / "trial.parquet", "--history", trial / "history.parquet"],
    }  # fmt: skip
    return {name: [f"scripts/{name}.py", *map(str, words)] for name, words in commands.items()}


def _under_snakemake(prepared: Workspace, folder: Path, full: bool, trials: int) -> float:
    """CPU seconds of one more trial of a whole run, without training: a long run less a short one."""
    used = []
    for iterations in (1, 1 + trials):
        space = Workspace(folder / f"snakemake{iterations}", _config(full, iterations))
        data = prepared.folder / "results"
        for name in ("data", "embeddings"):
            (space.folder / "results").mkdir(exist_ok=True)
            (space.folder / "results" / name).symlink_to(data / name)
        space.study.mkdir()
        (space.study / "protocol.json").write_bytes((prepared.study / "protocol.json").read_bytes())
        seconds = _cpu_s(space.command(), space)
        runs = space.study.glob("bo/t0/i*/s*/run.parquet")
        used.append(seconds - sum(pl.read_parquet(run, hive_partitioning=False)["cpu_s"].item() or 0 for run in runs))
    return (used[1] - used[0]) / trials


def _parts(environment: dict[str, str]) -> dict[str, float]:
    """CPU seconds of what a trial's jobs consist of, each measured alone; the least of three."""

    def python(*words: str) -> float:
        return min(_children_cpu_s([sys.executable, *words], environment) for _ in range(3))

    bare = python("-c", "pass")
    parts = {"interpreters of the three jobs": 3 * bare}
    parts |= {f"{name}: imports": python(str(ROOT / "scripts" / f"{name}.py"), "--help") - bare for name in JOBS}
    parts["torch and torch._dynamo"] = python("-c", "import torch, torch._dynamo") - bare
    empty = min(_sandbox_cpu_s(0, ()) for _ in range(3))
    preload = ("torch", "torch._dynamo")
    without, with_phases = (min(_sandbox_cpu_s(count, preload) for _ in range(3)) for count in (0, PHASES))
    parts["sandbox: start, canary, end"] = empty
    parts[f"sandbox: {PHASES} phases that do nothing"] = max(0.0, with_phases - without)
    return parts


def _sandbox_cpu_s(phases: int, preload: Sequence[str]) -> float:
    """CPU seconds of a sandbox's processes from its start to its end."""
    before = _ended_cpu_s()
    with Sandbox(preload=preload, entry="entries:run", python_path=(ROOT / "tests" / "sandbox",)) as sandbox:
        for _ in range(phases):
            outcome = sandbox.run(Phase({"do": "nothing"}, (), (), LIMITS))
            if outcome.status != "ok":
                raise RuntimeError(f"an empty phase failed: {outcome}")
    return _ended_cpu_s() - before


def _cpu_s(command: Sequence[str], space: Workspace) -> float:
    return _children_cpu_s(command, space.environment(), space.folder)


def _children_cpu_s(command: Sequence[str], environment: dict[str, str], folder: Path | None = None) -> float:
    """CPU seconds of a command and of all that it started and waited for."""
    before = _ended_cpu_s()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return _ended_cpu_s() - before


def _ended_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run_command(benchmark_trial)
