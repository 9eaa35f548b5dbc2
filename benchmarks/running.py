"""What a running study costs Snakemake's main process: calls to the file system and CPU seconds per finished job.

Snakemake and the workflow are real; each job is a stand-in that only makes its outputs. So what is counted grows with
searches and trials, and with nothing else. Time on a distant file system is calls × its answer time, beside the CPU.

    python benchmarks/running.py                   # up to 24 searches: minutes
    python benchmarks/running.py --full            # 90 searches, and 200 trials
    python benchmarks/running.py --delay-ms 5      # each call takes 5 ms
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from benchmark_table import publish

from tmelt.command import run_command
from tmelt.evidence.schema import PLAN
from tmelt.storage.files import write_json
from tmelt.storage.records import from_json
from tmelt.storage.schema import as_frame, write_frame
from tmelt.study.config import parse_config
from tmelt.study.identity import design_of, strategy_of
from tmelt.study.protocol_record import StudyDesign

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.append(str(REPOSITORY / "tests"))
SEEDS, BLOCK, CORES = 3, 10, 8
CANDIDATES = 75  # trained after the searches
TARGETS = {
    "searches": 200,
    "tables": 1000,
}  # calls: per finished job; for all tables and the report once all is trained
TARGET_TRIAL_S = 2.0
SNAKEFILE = """include: "Snakefile"

from stand_ins import replace_jobs

replace_jobs(workflow)
"""


def benchmark_running(
    *,
    full: bool = False,
    delay_ms: float = 0.0,
    searches: list[int] | None = None,
    trials: int = 20,
    seeds_per_job: str = "all",
    folder: Path | None = None,
    output: Path = Path("results/benchmarks/running.parquet"),
) -> None:
    """Run studies of several sizes with stand-ins for all jobs, in temporary folders inside `folder`."""
    sizes = [(count, trials) for count in searches or ([4, 24, 90] if full else [4, 24])]
    if full:
        sizes.insert(1, (4, 200))
    rows = []
    for count, length in sizes:
        with tempfile.TemporaryDirectory(dir=folder, prefix="benchmark_running_") as name:
            rows.append(run_study(Path(name), count, length, delay_ms, seeds_per_job))
        print(rows[-1], file=sys.stderr, flush=True)
    publish(rows, output, f"Snakemake's main process in a running study, {CORES} jobs at once, {delay_ms:g} ms a call")


def _config(searches: int, trials: int, seeds_per_job: str) -> dict[str, Any]:
    strategies = {f"bo_{number}": {"kind": "bo"} for number in range(min(searches, 4) if searches < 8 else 8)}
    per_strategy = -(-searches // len(strategies))
    return {
        "study": "running",
        "design": {
            "data": {"name": "synthetic", "synthetic": {"proteins": 60, "organisms": 2}},
            "backbone": {"name": "tiny", "weights": "random"},
        },
        "extent": {
            "iterations": trials - 1,
            "trajectories": per_strategy,
            "seeds": list(range(SEEDS)),
            "confirm_seeds": 5,
            "strategies": strategies,
        },
        "runtime": {"block": BLOCK, "seeds_per_job": seeds_per_job if seeds_per_job == "all" else 1},
    }


def _plan(path: Path) -> None:
    """A plan of as many trainings, three of them of a winner or the baseline."""
    empty = dict.fromkeys(as_frame([], PLAN).columns)
    rows = [
        empty | {"purpose": "winner" if number < 3 else "incumbent", "candidate": f"c{number:04x}", "seeds": [0]}
        for number in range(CANDIDATES)
    ]
    write_frame(path, as_frame(rows, PLAN))


def run_study(place: Path, searches: int, trials: int, delay_ms: float, seeds_per_job: str) -> dict[str, Any]:
    """One study from its first trial to its report, and its tables and report once more."""
    for linked in ("Snakefile", "rules", "scripts", "profiles", "config.yaml", "report", "envs"):
        (place / linked).symlink_to(REPOSITORY / linked)
    (place / "running.smk").write_text(SNAKEFILE)
    config = _config(searches, trials, seeds_per_job)
    (place / "study.yaml").write_text(yaml.safe_dump(config))
    _plan(place / "plan.parquet")
    parsed = parse_config(config)
    study = place / "results" / "running"
    from study_records import protocol  # of the tests

    protocol(design=from_json(StudyDesign, design_of(parsed))).write(study / "protocol.json")
    for strategy in config["extent"]["strategies"]:
        write_json(study / strategy / "strategy.json", strategy_of(parsed, strategy))
    return (
        {"searches": searches, "trials": trials}
        | _summary(_counts(place, delay_ms), searches * trials, delay_ms)
        | _evidence_alone(place, study, delay_ms)
    )


def _counts(place: Path, delay_ms: float) -> list[Any]:
    """Let Snakemake make the study; where it stood at the start of each job.

    Raises:
        RuntimeError: Snakemake failed.
    """
    counts = place / "counts.json"
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "counted_snakemake.py"), "--snakefile", "running.smk"]
    command += ["--profile", "profiles/default", "--configfile", "study.yaml", "--cores", str(CORES)]
    known = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/benchmarks", "OMP_NUM_THREADS": "1", "COUNTED": str(counts)}
    with (place / "log.txt").open("w") as log:
        done = subprocess.run(
            [*command, "--quiet", "progress", "rules", "--", "all"],
            cwd=place,
            env=os.environ | known | {"COUNTED_DELAY_MS": str(delay_ms)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise RuntimeError(f"Snakemake failed\n{(place / 'log.txt').read_text()[-4000:]}")
    return json.loads(counts.read_text())["starts"]


def _evidence_alone(place: Path, study: Path, delay_ms: float) -> dict[str, Any]:
    """What the tables, the report and the exports cost once everything is trained."""
    for name in ("tables", "evidence", "report", "export", "bundle"):
        shutil.rmtree(study / name)
    starts = _counts(place, delay_ms)
    return {
        "table_jobs": len(starts) - 1,
        "calls_tables": starts[-1][1] - starts[0][1],
        "target_calls_tables": TARGETS["tables"],
    }


def _summary(starts: list[Any], trials: int, delay_ms: float) -> dict[str, Any]:
    """What the stages cost: planning, searches (data and embedding included), evidence (from the first table on)."""
    first = next(place for place, start in enumerate(starts) if start[0] == "tabulate_trials")
    _, begin_calls, begin_cpu, begin_wall = starts[0]
    _, middle_calls, middle_cpu, middle_wall = starts[first]
    _, end_calls, end_cpu, end_wall = starts[-1]
    trained = sum(start[0] in ("confirm_candidate", "perturb_candidate") for start in starts)
    busy = middle_cpu - begin_cpu + (middle_calls - begin_calls) * delay_ms / 1000
    return {
        "jobs": first,
        "calls_planning": begin_calls,
        "calls_per_job": (middle_calls - begin_calls) / first,
        "target_calls_per_job": TARGETS["searches"],
        "cpu_s_per_job": (middle_cpu - begin_cpu) / first,
        "busy_s_per_trial": busy / trials,
        "target_busy_s_per_trial": TARGET_TRIAL_S,
        "wall_s_per_trial": (middle_wall - begin_wall) / trials,
        "evidence_jobs": len(starts) - 1 - first,
        "of_which_train": trained,
        "calls_evidence": end_calls - middle_calls,
        "cpu_s_evidence": end_cpu - middle_cpu,
        "wall_s_evidence": end_wall - middle_wall,
    }


if __name__ == "__main__":
    run_command(benchmark_running)
