"""What Snakemake's planning costs: a fresh start, a resume and a no-op of studies of many jobs.

Finished files are empty stand-ins, and nothing is run (`--dry-run`).

    python benchmarks/planning.py                       # up to 5 strategies x 5 searches x 1,000 iterations x 3 seeds
    python benchmarks/planning.py --iterations 200
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tmelt.config import parse_config
from tmelt.files import write_json
from tmelt.identity import design_of, strategy_of

REPOSITORY = Path(__file__).resolve().parents[1]
STRATEGIES = ("random", "bo", "bo_gp", "bo_cma", "bo_late")
TRAJECTORIES, SEEDS, BLOCK = 5, (0, 1, 2), 10
RUN_FILES = ("run.parquet", "curve.parquet", "predictions.parquet", "log.txt")
JOBS_PER_TRIAL = 2 + len(SEEDS)


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


def plan(folder: Path, iterations: int, what: str, finished: int) -> None:
    """Plan once and print what it took."""
    (folder / "study.yaml").write_text(yaml.safe_dump(config(iterations)))
    command = [
        "-m",
        "snakemake",
        "--profile",
        "profiles/default",
        "--configfile",
        "study.yaml",
        "--dry-run",
        "--quiet",
        "all",
    ]
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
        sys.exit(f"{what}: planning failed\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    seconds, kilobytes = map(float, done.stdout.split()[-2:])
    print(f"| {what} | {finished * JOBS_PER_TRIAL:,} | {seconds:.1f} | {kilobytes / 1024:.0f} |", flush=True)


def main() -> None:
    """Grow one tree of stand-ins and plan at several sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=1000, help="trials of one search at the end")
    parser.add_argument("--keep", action="store_true", help="leave the folder behind")
    arguments = parser.parse_args()
    searches = len(STRATEGIES) * TRAJECTORIES
    folder = Path(tempfile.mkdtemp(prefix="tmelt-planning-"))
    try:
        for name in ("Snakefile", "rules", "scripts", "profiles", "config.yaml"):
            (folder / name).symlink_to(REPOSITORY / name)
        study = folder / "results" / "planning"
        print("| planning | finished jobs | CPU s | MB |\n|---|---|---|---|")
        plan(folder, arguments.iterations, f"fresh, {searches} searches of {arguments.iterations} trials", 0)
        parsed = parse_config(config(arguments.iterations))
        write_json(study / "protocol.json", {"design": design_of(parsed)})
        for name in STRATEGIES:
            write_json(study / name / "strategy.json", strategy_of(parsed, name))
        done = 0
        for share in (200, arguments.iterations):
            stop = min(share, arguments.iterations)
            if stop == done:
                continue
            finish_trials(study, done, stop)
            done = stop
            if stop < arguments.iterations:
                plan(folder, arguments.iterations, f"resume at trial {stop} of {arguments.iterations}", stop * searches)
            gathered = f"trials_n{stop - 1}_s{len(SEEDS)}.parquet"
            for search in study.glob("*/t*"):
                search.joinpath(gathered).unlink(missing_ok=True)
            plan(folder, stop, f"all trials there, nothing gathered yet ({stop} trials)", stop * searches)
            for search in study.glob("*/t*"):
                search.joinpath(gathered).touch()
            plan(folder, stop, f"searches gathered, evidence to make ({stop} trials)", stop * searches)
    finally:
        if arguments.keep:
            print(folder)
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
