"""The one-node SLURM, and studies that run on it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from workflow import Workspace, end_processes_in

# What a site edits in profiles/slurm/config.yaml, for the cluster of slurm-up.sh; and less patience, for tests.
SITE = {
    '  account: ""': "  account: tests",
    "slurm-init-seconds-before-status-checks: 30": "slurm-init-seconds-before-status-checks: 3",
    "latency-wait: 60": "latency-wait: 10",
    "local-cores: 4": "local-cores: 2",
}


@pytest.fixture(scope="session")
def cluster():
    """SLURM's commands on PATH."""
    environment = Path(os.environ.get("SLURM_TEST_DIR", f"/tmp/tmelt-slurm-{os.getuid()}"), "env.sh")
    if not environment.exists():
        pytest.skip("SLURM is not up; `make slurm-test` starts it, runs these tests and stops it")
    os.environ["PATH"] = f"{environment.parent / 'bin'}:{os.environ['PATH']}"
    os.environ["SLURM_CONF"] = str(environment.parent / "slurm.conf")
    return environment.parent


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


@pytest.fixture
def make_space(cluster, tmp_path):
    """Makes studies for this cluster; whatever they leave running ends with the test."""
    made = []

    def make(config, name: str = "space") -> Workspace:
        made.append(on_slurm(tmp_path / name, config))
        return made[-1]

    yield make
    for space in made:
        for number in queued(space.folder):
            subprocess.run(["scancel", number], check=False)
        end_processes_in(space.folder)
        shutil.rmtree(space.folder, ignore_errors=True)


def queued(folder: Path) -> list[str]:
    """Numbers of SLURM's jobs, waiting or running, of a study in `folder`."""
    listed = subprocess.run(
        ["squeue", "--me", "--noheader", "--format=%A %Z"], capture_output=True, text=True, check=True
    )
    lines = (line.split(" ", 1) for line in listed.stdout.splitlines())
    return [number for number, where in lines if Path(where).resolve() == folder.resolve()]
