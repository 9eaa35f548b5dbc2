"""The one-node SLURM, and studies that run on it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from needs import need
from on_slurm import on_slurm, queued
from survival import STRATEGIES
from workflow import Workspace, end_processes_in, study, study_once

BO = {"bo": STRATEGIES["bo"]}


@pytest.fixture(scope="session")
def cluster():
    """SLURM's commands on PATH."""
    environment = Path(os.environ.get("SLURM_TEST_DIR", f"/tmp/tmelt-slurm-{os.getuid()}"), "env.sh")
    need(environment.exists(), "SLURM is not up; `make slurm-test` starts it, runs these tests and stops it")
    os.environ["PATH"] = f"{environment.parent / 'bin'}:{os.environ['PATH']}"
    os.environ["SLURM_CONF"] = str(environment.parent / "slurm.conf")
    return environment.parent


@pytest.fixture(scope="session")
def prepared(cluster, tmp_path_factory) -> Workspace:
    """Data, embedding and protocol, made on this machine."""
    return study_once(tmp_path_factory, "prepared", study(strategies=BO), Workspace.prepare)


@pytest.fixture(scope="session")
def undisturbed(prepared, tmp_path_factory) -> Workspace:
    """The study of the fault tests, run on this machine without SLURM and without faults."""
    return study_once(tmp_path_factory, "undisturbed", prepared.config, lambda space: space.run_like(prepared))


@pytest.fixture(scope="session")
def undisturbed_pair(undisturbed, tmp_path_factory) -> Workspace:
    """The same with an agent's search beside it."""
    config = study(strategies=STRATEGIES)
    return study_once(tmp_path_factory, "undisturbed_pair", config, lambda space: space.run_like(undisturbed))


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


@pytest.fixture
def begun(make_space, prepared) -> Workspace:
    """The study of the fault tests on SLURM, before its first trial."""
    space = make_space(prepared.config)
    space.begin_like(prepared)
    return space
