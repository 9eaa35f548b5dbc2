"""What Snakemake's planning costs: a fresh start, a resume and a no-op of studies of many jobs.

Finished files are empty stand-ins, and nothing is run (`--dry-run`).

    python benchmarks/planning.py             # 5 strategies x 5 searches x 200 trials x 3 seeds: 25,000 jobs, a minute
    python benchmarks/planning.py --full      # up to 1,000 trials: 125,000 jobs

Peer: Snakemake's own way, every finished job in the plan (`full_dag: true`).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from benchmark_table import publish

from tmelt.command import run_command
from tmelt.storage.files import write_json
from tmelt.storage.records import from_json
from tmelt.study.config import parse_config
from tmelt.study.identity import design_of, strategy_of
from tmelt.study.protocol_record import StudyDesign

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.append(str(REPOSITORY / "tests"))
STRATEGIES = ("random", "bo", "bo_gp", "bo_cma", "bo_late")
TRAJECTORIES, SEEDS, BLOCK = 5, (0, 1, 2), 10
RUN_FILES = ("run.parquet", "curve.parquet", "predictions.parquet", "log.txt")
JOBS_PER_TRIAL = 2 + len(SEEDS)
TARGET_S = 5.0  # for a resume or a no-op of 25,000 finished jobs


def config(iterations: int) -> dict:
    """A study of which nothing is ever run."""
    return {
        "study": "planning",
        "design": {
            "data": {"name": "synthetic", "synthetic": {"proteins": 60, "organisms": 2}},
            "backbone": {"name": "tiny", "weights": "random"},
        },
        "extent": {
            "iterations": iterations - 1,
            "trajectories": TRAJECTORIES,
            "seeds": list(SEEDS),
            "strategies": {name: {"kind": "random" if name == "random" else "bo"} for name in STRATEGIES},
        },
        "runtime": {"block": BLOCK, "seeds_per_job": 1},
    }


def finish_trials(study: Path, start: int, stop: int) -> None:
    """Stand-ins for the files of iterations `start` to `stop` of every search, whole blocks only."""
    for strategy in STRATEGIES:
        for trajectory in range(TRAJECTORIES):
            folder = study / strategy / f"t{trajectory}"
            (folder / "blocks").mkdir(parents=True, exist_ok=True)
            for iteration in range(start, stop):
                trial = folder / f"i{iteration}"
                trial.mkdir()
                names = ["proposal.json", "train.py", "trial.parquet", "history.parquet"]
                for seed in SEEDS:
                    (trial / f"s{seed}").mkdir()
                    names += [f"s{seed}/{name}" for name in RUN_FILES]
                for name in names:
                    os.close(os.open(f"{trial}/{name}", os.O_CREAT | os.O_WRONLY))
                if iteration % BLOCK == BLOCK - 1:
                    (folder / "blocks" / f"{iteration}.json").write_text('{"status": "continue"}')


def plan(folder: Path, iterations: int, full_dag: bool) -> tuple[float, float]:
    """CPU seconds and megabytes of planning once.

    Raises:
        RuntimeError: planning failed.
    """
    (folder / "study.yaml").write_text(yaml.safe_dump(config(iterations) | {"full_dag": full_dag}))
    profile = ["--profile", "profiles/default", "--configfile", "study.yaml"]
    command = ["-m", "snakemake", *profile, "--dry-run", "--quiet", "all"]
    measured = "import os, subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]]).returncode and sys.exit(1);"
    measured += "import resource as r; u = r.getrusage(r.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime, u.ru_maxrss)"
    done = subprocess.run(
        [sys.executable, "-c", measured, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"planning failed\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    seconds, kilobytes = map(float, done.stdout.split()[-2:])
    return seconds, kilobytes / 1024


def benchmark_planning(
    *,
    iterations: int = 200,
    full: bool = False,
    folder: Path | None = None,
    output: Path = Path("results/benchmarks/planning.parquet"),
) -> None:
    """Grow one tree of stand-ins in a temporary folder inside `folder` and plan at several sizes."""
    iterations = 1000 if full else iterations
    searches = len(STRATEGIES) * TRAJECTORIES
    rows = []

    def measure(what: str, trials: int, finished: int, target_s: float | None, full_dag: bool = False) -> None:
        seconds, megabytes = plan(place, trials, full_dag)
        jobs = finished * searches * JOBS_PER_TRIAL
        rows.append(
            {"plan": what, "finished_jobs": jobs, "cpu_s": seconds, "memory_mb": megabytes, "target_cpu_s": target_s}
        )
        print(rows[-1], file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(dir=folder, prefix="benchmark_planning_") as name:
        place = Path(name)
        for linked in ("Snakefile", "rules", "scripts", "profiles", "config.yaml"):
            (place / linked).symlink_to(REPOSITORY / linked)
        study = place / "results" / "planning"
        measure(f"fresh, {searches} searches of {iterations} trials", iterations, 0, None)
        from study_records import protocol

        parsed = parse_config(config(iterations))
        protocol(design=from_json(StudyDesign, design_of(parsed))).write(study / "protocol.json")
        for strategy in STRATEGIES:
            write_json(study / strategy / "strategy.json", strategy_of(parsed, strategy))
        done = 0
        for stop in sorted({iterations // 2, iterations}):
            finish_trials(study, done, stop)
            done = stop
            if stop < iterations:
                measure(f"resume at trial {stop} of {iterations}", iterations, stop, TARGET_S)
        gathered = f"trials_n{iterations - 1}_s{len(SEEDS)}.parquet"
        measure(f"all trials there, nothing gathered yet ({iterations} trials)", iterations, iterations, TARGET_S)
        for search in study.glob("*/t*"):
            search.joinpath(gathered).touch()
        measure(f"no-op of the searches, evidence to make ({iterations} trials)", iterations, iterations, TARGET_S)
        if not full:  # minutes and gigabytes at 1,000 trials
            measure("peer: the same with every finished job in the plan (full_dag)", iterations, iterations, None, True)
    publish(rows, output, "Planning by Snakemake (--dry-run), its start included")


if __name__ == "__main__":
    run_command(benchmark_planning)
