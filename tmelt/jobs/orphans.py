"""Jobs of an earlier run that SLURM still has: they would be second writers of what a new run makes.

A Snakemake that is killed with SIGKILL, or whose machine goes down, leaves its jobs in SLURM's queue. They end well by
themselves; a new run started beside them would submit the same work again.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tmelt.errors import InputError

PATIENCE_S = 60  # with squeue
_PREFIX, _STUDY = 9, 40  # characters of a job's name; Snakemake's plugin takes 50 and adds a number of the run


def job_name(prefix: str | None, study: str) -> str:
    """The beginning of the names of a study's jobs in SLURM, by which they are told from those of other studies."""
    return f"{(prefix or 'tmelt')[:_PREFIX]}-{study[:_STUDY]}"


def refuse_orphans(folder: Path, study: str) -> None:
    """Make sure that SLURM, where there is one, has no Snakemake job of `study` that works in `folder`.

    To be called before the first job is submitted, with the study's lock held.

    Raises:
        InputError: with the jobs' numbers and what to do.
    """
    if not shutil.which("squeue"):
        return
    # %j: name, %Z: working folder, %k: comment, which Snakemake's plugin sets to rule and wildcards
    command = ["squeue", "--me", "--noheader", "--format=%A|%T|%j|%k|%Z"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        said = said.decode(errors="replace") if isinstance(said, bytes) else said  # as it is after a time-out
        detail = (said.strip().splitlines() or [type(error).__name__])[-1]
        if "configuration source" not in detail:  # SLURM's commands without a cluster
            print(f"warning: squeue failed, so jobs of an earlier run would not be seen: {detail}", file=sys.stderr)
        return
    jobs = []
    ours = re.compile(rf".{{1,{_PREFIX}}}-{re.escape(study[:_STUDY])}_[0-9a-f-]{{36}}")
    for line in listed.splitlines():
        number, state, name, comment, worked_in = line.split("|", 4)
        if ours.fullmatch(name) and os.path.realpath(worked_in) == os.path.realpath(folder):
            jobs.append((number, state, comment.removeprefix("rule_")))
    if jobs:
        shown = "\n".join(f"  {number} {state} {what}" for number, state, what in jobs[:20])
        more = f"\n  and {len(jobs) - 20} more" if len(jobs) > 20 else ""
        raise InputError(
            f"{folder}: SLURM still has {len(jobs)} jobs of an earlier run of {study}:\n{shown}{more}\n"
            "Wait until they have ended (what they finish is kept), or cancel them:"
            f" scancel {' '.join(number for number, _, _ in jobs)}"
        )
