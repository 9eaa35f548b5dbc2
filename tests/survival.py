"""For every test that kills a study, on one machine and on SLURM: what to kill, and what must be equal afterwards."""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

from workflow import Workspace, processes_in, wait_until

# A sampler and an agent: what costs GPU hours and what costs dollars.
STRATEGIES = {"bo": {"kind": "bo", "startup": 1}, "ra": {"kind": "ra", "model": "playbook"}}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FINISHED = ("*/t*/i*/trial.parquet", "*/t*/i*/history.parquet", "*/t*/i*/llm/[0-9][0-9].json")


def same_results(undisturbed: Workspace, space: Workspace) -> None:
    """The same tables and predictions."""
    assert space.trials().equals(undisturbed.trials())
    assert space.predictions() == undisturbed.predictions()


def same_as(undisturbed: Workspace, space: Workspace) -> None:
    """The same tables and predictions; one training and one LLM call for each that the undisturbed run needed."""
    same_results(undisturbed, space)
    assert space.journal().keys() == undisturbed.journal().keys()
    assert space.transcripts().keys() == undisturbed.transcripts().keys()


class MadeOnce:
    """Watches what a study has finished and paid for: none of it may ever change again."""

    def __init__(self, space: Workspace):
        self.space = space
        self.kept: dict[str, str] = {}

    def check(self) -> None:
        """What was there at the last check is as it was; from now on what is there now counts as well."""
        for name, sha256 in self.kept.items():
            assert self.space.hashes(name) == {name: sha256}, f"{name} was made twice"
        self.kept = self.space.journal()
        for pattern in FINISHED:
            self.kept |= self.space.hashes(pattern)


def trainings(space: Workspace) -> list[int]:
    """Processes of the script that trains."""
    found = []
    for pid in processes_in(space.folder):
        if b"scripts/train_run.py" in words_of(pid)[1:3]:
            found.append(pid)
    return found


def words_of(pid: int) -> list[bytes]:
    """A process's command line; none when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def below_trainings(space: Workspace, depth: int) -> list[int]:
    """A sandbox's supervisor (depth 1), or what that started (depth 2): bubblewrap asked what it can do, the worker."""
    pids = trainings(space)
    for _ in range(depth):
        pids = [child for pid in pids for child in children_of(pid)]
    return pids


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


def kill_when_there(find: Callable[[], list[int]], timeout: float = 120) -> None:
    """Wait until `find` finds processes, kill them all at once, and wait until they are gone."""
    victims: list[int] = []

    def found() -> bool:
        victims[:] = find()
        return bool(victims)

    wait_until(found, timeout)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not set(victims) & set(find()), timeout)
