"""What the queue costs: jobs and seconds per trial for each way of cutting a search into SLURM jobs.

A search of six trials with two seeds, on the smallest data there are, so most of the time is the queue's: waiting,
starting Snakemake twice per job, and the seconds until it is seen that a job ended. The first row has no queue at all.

    python benchmarks/round_trips.py                # your cluster, with profiles/slurm as you have edited it
    python benchmarks/round_trips.py --seconds 5    # the one-node SLURM of tests/slurm, after sourcing its env.sh
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.append(str(REPOSITORY / "tests"))

from benchmark_table import publish  # noqa: E402
from workflow import Workspace, study  # noqa: E402

TRIALS, SEEDS = 6, (0, 1)
KINDS = {"bo": {"kind": "bo", "startup": 1}, "ra": {"kind": "ra", "model": "playbook"}}
# profile, runtime.seeds_per_job, runtime.group, kind of search
WAYS = (
    ("profiles/default", "all", "none", "bo"),
    ("slurm", 1, "none", "bo"),
    ("slurm", "all", "none", "bo"),
    ("slurm", "all", "trial", "bo"),
    ("slurm", "all", "block", "bo"),
    ("slurm", "all", "block", "ra"),
)


def main() -> None:
    """Prepare once, then search each way from there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, help="between looks at the queue, instead of the profile's")
    parser.add_argument("--folder", type=Path, help="where nodes can see it as well (default: a temporary folder)")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "results/benchmarks/round_trips.parquet")
    arguments = parser.parse_args()
    looks = ["--slurm-init-seconds-before-status-checks", str(arguments.seconds)] if arguments.seconds else []
    with tempfile.TemporaryDirectory(prefix="tmelt-round-trips-", dir=arguments.folder) as folder:
        prepared = Workspace(Path(folder, "prepared"), study(strategies=KINDS))
        prepared.prepare()
        rows = []
        for number, (profile, seeds_per_job, group, kind) in enumerate(WAYS):
            runtime = {"seeds_per_job": seeds_per_job, "group": group, "block": TRIALS}
            config = study(strategies={kind: KINDS[kind]}, iterations=TRIALS - 1, seeds=list(SEEDS), runtime=runtime)
            space = Workspace(Path(folder, str(number)), config)
            space.begin_like(prepared)
            started = time.monotonic()
            log = space.run(*(looks if profile == "slurm" else []), profile=profile, timeout=3600)
            seconds = time.monotonic() - started
            jobs = len(re.findall(r"submitted with SLURM jobid", log))
            rows.append(
                {
                    "where": "SLURM" if profile == "slurm" else "this machine",
                    "search": kind,
                    "seeds_per_job": str(seeds_per_job),
                    "group": group,
                    "jobs_per_trial": jobs / TRIALS,
                    "seconds_per_trial": seconds / TRIALS,
                }
            )
            print(rows[-1], flush=True)
    publish(rows, arguments.output, f"Queue round trips of a search of {TRIALS} trials with {len(SEEDS)} seeds")


if __name__ == "__main__":
    main()
