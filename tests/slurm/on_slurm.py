"""Studies on the one-node SLURM, and its commands."""

import re
import subprocess
from pathlib import Path

from patience import wait_for
from survival import trainings
from workflow import Workspace

# What a site edits in profiles/slurm/config.yaml, for the cluster of slurm-up.sh; and less patience, for tests. A job
# that is not over at a look is looked at 10 s later than that: with 1 s, a job of 8 s is seen to end after 12 s.
SITE = {
    '  account: ""': "  account: tests",
    "slurm-init-seconds-before-status-checks: 30": "slurm-init-seconds-before-status-checks: 1",
    "latency-wait: 60": "latency-wait: 10",
    "local-cores: 4": "local-cores: 2",
}


def on_slurm(folder: Path, config) -> Workspace:
    """A study in `folder` and a profile edited for this cluster as a site would."""
    space = Workspace(folder, config, copied=("profiles",))
    profile = folder / "profiles" / "slurm" / "config.yaml"
    text = profile.read_text()
    for line, edited in SITE.items():
        assert text.count(line) == 1, f"{line!r} is not in the profile any more"
        text = text.replace(line, edited)
    profile.write_text(text)
    return space


def slurm(*command: str) -> str:
    """Run one of SLURM's commands."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def queued(folder: Path) -> list[str]:
    """Numbers of SLURM's jobs, waiting or running, of a study in `folder`."""
    lines = (line.split(" ", 1) for line in slurm("squeue", "--me", "--noheader", "--format=%A %Z").splitlines())
    return [number for number, where in lines if Path(where).resolve() == folder.resolve()]


def submitted(log: str) -> list[str]:
    """Numbers of SLURM's jobs in Snakemake's output."""
    return re.findall(r"submitted with SLURM jobid (\d+)", log)


def training_jobs(space: Workspace) -> list[str]:
    """Numbers of the trainings that SLURM runs now."""
    lines = slurm("squeue", "--me", "--noheader", "--states=RUNNING", "--format=%A|%k|%Z").splitlines()
    fields = (line.split("|", 2) for line in lines)
    return [number for number, what, where in fields if "train" in what and Path(where) == space.folder]


def is_training(space: Workspace) -> bool:
    """Whether a training of this study works at this moment."""
    return bool(trainings(space))


def processes_of(job: str) -> list[int]:
    """What runs on the node for a job: its script, Snakemake, and all that these started."""
    listed = subprocess.run(["scontrol", "listpids", job], capture_output=True, text=True, timeout=60)
    if listed.returncode:  # it has ended
        return []
    return [pid for line in listed.stdout.splitlines()[1:] if (pid := int(line.split()[0])) > 0]


def ended_well(process: subprocess.Popen, space: Workspace, timeout: float = 400) -> str:
    """Wait for a run; its output."""
    wait_for(process, timeout)
    assert process.returncode == 0, space.said()[-6000:] + space.logs()
    return space.said()
