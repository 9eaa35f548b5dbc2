"""A study that is killed again and again ends like one that was not, and nothing is paid for twice."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from workflow import Workspace, end_processes_in, processes_in, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

FINISHED = ("*/t*/i*/trial.parquet", "*/t*/i*/history.parquet")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def finished(space: Workspace) -> dict[str, str]:
    """Hashes of what is finished and must never change again."""
    return {name: sha256 for pattern in FINISHED for name, sha256 in space.hashes(pattern).items()}


def same_as(undisturbed: Workspace, space: Workspace) -> None:
    """The same tables and predictions; one training and one LLM call for each that the undisturbed run needed."""
    assert space.trials().equals(undisturbed.trials())
    assert space.predictions() == undisturbed.predictions()
    assert space.journal().keys() == undisturbed.journal().keys()
    assert space.transcripts().keys() == undisturbed.transcripts().keys()


@pytest.mark.parametrize("seed", range(20))
def test_killed_at_random(prepared, undisturbed, space_like, seed):
    draw = random.Random(seed)
    space = space_like(prepared)
    paid: dict[str, str] = {}
    done: dict[str, str] = {}
    for _ in range(2):
        chosen = SIGNALS[(seed + draw.randrange(3)) % 3]
        process = space.start()
        try:
            process.wait(draw.uniform(1.0, 20.0))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, chosen)  # the main process alone: what it started may live on
        process.wait(120)
        for name, sha256 in {**paid, **done}.items():
            assert space.hashes(name) == {name: sha256}, f"{name} was made twice"
        paid, done = space.journal(), finished(space)
        space.unlock()
    space.run()
    for name, sha256 in {**paid, **done}.items():
        assert space.hashes(name) == {name: sha256}, f"{name} was made twice"
    same_as(undisturbed, space)


def test_everything_killed_in_the_second_seed_keeps_the_first(prepared, space_like):
    space = space_like(prepared, seeds=[0, 1], strategies={"bo": {"kind": "bo", "startup": 1}}, iterations=1)
    process = space.start()
    wait_until(lambda: len(space.journal()) == 1)
    end_processes_in(space.folder)  # as if the machine went down
    process.wait(30)
    first = space.journal()
    assert len(first) == 1
    (name,) = first
    written = (space.study / name).stat().st_mtime_ns
    space.unlock()
    space.run()
    assert len(space.journal()) == 4
    assert space.journal()[name] == first[name]
    assert (space.study / name).stat().st_mtime_ns == written


def test_a_killed_training_job_is_tried_again(prepared, undisturbed, space_like):
    space = space_like(prepared)
    process = space.start()
    for _ in range(2):
        wait_until(lambda: trainings(space))
        for pid in trainings(space):
            os.kill(pid, signal.SIGKILL)
    assert process.wait(300) == 0, (space.folder / "log.txt").read_text()[-3000:]
    same_as(undisturbed, space)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_killed_sandbox_is_no_verdict_on_the_candidate(prepared, undisturbed, space_like, depth):
    """Its supervisor (depth 1), or what that started (depth 2: the worker, the candidate), is killed from outside."""
    space = space_like(prepared)
    process = space.start()
    victims: list[int] = []

    def found() -> bool:
        victims[:] = trainings(space)
        for _ in range(depth):
            victims[:] = [child for pid in victims for child in children_of(pid)]
        return bool(victims)

    wait_until(found)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    assert process.wait(300) == 0, (space.folder / "log.txt").read_text()[-3000:]
    same_as(undisturbed, space)


def children_of(parent: int) -> list[int]:
    """Ids of a process's children."""
    try:
        return [
            int(pid)
            for task in Path(f"/proc/{parent}/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]
    except OSError:
        return []


def trainings(space: Workspace) -> list[int]:
    """Processes of the script that trains."""
    found = []
    for pid in processes_in(space.folder):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"scripts/train_run.py" in words[1:3]:
            found.append(pid)
    return found


def test_an_orphaned_training_is_waited_for_not_repeated(prepared, undisturbed, space_like):
    space = space_like(prepared)
    process = space.start()
    wait_until(lambda: trainings(space))
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    assert trainings(space), "the training ended with the main process"
    space.unlock()
    space.run()
    same_as(undisturbed, space)


def test_a_lock_left_behind_is_named_with_its_remedy(prepared, undisturbed, space_like):
    space = space_like(prepared)
    process = space.start()
    wait_until(lambda: any((space.folder / ".snakemake" / "locks").glob("*")))
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    said = space.run(fails=True)
    assert "--unlock" in said
    space.unlock()
    space.run()
    same_as(undisturbed, space)


def test_two_people_start_the_same_study(prepared, undisturbed, space_like):
    space = space_like(prepared)
    first = space.start()
    wait_until(lambda: any((space.folder / ".snakemake" / "locks").glob("*")))
    time.sleep(1)
    assert "lock" in space.run(fails=True).lower()
    assert first.wait(300) == 0, (space.folder / "log.txt").read_text()[-3000:]
    same_as(undisturbed, space)
