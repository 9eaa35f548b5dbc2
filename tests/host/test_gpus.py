"""GPUs dealt to jobs side by side: real processes, a stand-in for nvidia-smi that lists four GPUs."""

import os
import subprocess
import sys

import pytest

from tmelt.host import locks
from tmelt.host.gpus import hold_a_gpu, visible_gpus

FOUR = [f"GPU-{number}e0c5a4c-0000-4000-8000-00000000000{number}" for number in range(4)]
# What a job does: take a GPU, start something that sees it, hold it until its standard input ends.
JOB = (
    "import subprocess, sys\n"
    "from tmelt.host.gpus import hold_a_gpu\n"
    "hold_a_gpu()\n"
    "print(subprocess.check_output('echo $CUDA_VISIBLE_DEVICES', shell=True, text=True).strip(), flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture
def machine(tmp_path):
    """The environment of a machine with four GPUs."""
    lines = [f"GPU {number}: NVIDIA T4 (UUID: {name})" for number, name in enumerate(FOUR)]
    return _machine(tmp_path, lines)


def _machine(place, lines):
    program = place / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ncat <<END\n" + "\n".join(lines) + "\nEND\n")
    program.chmod(0o755)
    (place / "tmp").mkdir()
    kept = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    return kept | {"PATH": f"{program.parent}:{os.environ['PATH']}", "TMPDIR": str(place / "tmp")}


@pytest.fixture
def start():
    """Start a job and return it with the GPU that its children see."""
    jobs = []

    def _start(environment):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        job = subprocess.Popen([sys.executable, "-c", JOB], env=environment, **pipes)
        jobs.append(job)
        return job, job.stdout.readline().strip()

    yield _start
    for job in jobs:
        job.communicate(timeout=30)


def test_four_jobs_use_four_gpus_and_a_freed_one_is_dealt_again(machine, start):
    jobs = [start(machine) for _ in range(4)]
    assert sorted(gpu for _, gpu in jobs) == FOUR
    _, shared = start(machine)  # more jobs than GPUs: no job waits
    assert shared in FOUR
    killed, freed = next((job, gpu) for job, gpu in jobs if gpu != shared)
    killed.kill()
    killed.wait(30)
    assert start(machine)[1] == freed


def test_only_gpus_that_the_user_or_slurm_shows_are_dealt(machine, start):
    shown = machine | {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert sorted(start(shown)[1] for _ in range(2)) == ["2", "3"]
    assert start(machine | {"CUDA_VISIBLE_DEVICES": "1"})[1] == "1"
    assert start(machine | {"CUDA_VISIBLE_DEVICES": ""})[1] == ""


def test_parts_of_a_gpu_are_dealt_and_not_the_whole(tmp_path, start):
    parts = [f"MIG-{number}" for number in range(2)]
    listed = [f"  MIG 3g.20gb Device {number}: (UUID: {name})" for number, name in enumerate(parts)]
    machine = _machine(tmp_path, [f"GPU 0: NVIDIA A100 (UUID: {FOUR[0]})", *listed])
    assert sorted(start(machine)[1] for _ in range(2)) == parts


def test_a_machine_without_a_choice_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path / "absent"))
    assert visible_gpus() == []
    hold_a_gpu.cache_clear()
    assert hold_a_gpu() is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
