"""Cores of this machine for one run: of those that this process may use, some that no other run holds."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


@contextmanager
def granted_cores(count: int) -> Iterator[tuple[int, ...]]:
    """`count` cores, held until the end of the block; all allowed cores where there are no more.

    SLURM, a cgroup or `taskset` say which cores are allowed. Runs of the same user find each other by locked files,
    whether they are threads of one job or jobs side by side; the system drops a lock when its holder ends. Where too
    few cores are free, the run shares some: the clock of its budget counts CPU time, so that costs it nothing but
    wall-clock time.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if count >= len(allowed):
        yield tuple(allowed)
        return
    with ExitStack() as held:
        folder = _lock_folder()
        free: list[int] = []
        for core in allowed:
            if len(free) < count and folder is not None and _lock(folder / f"core{core}", held):
                free.append(core)
        shared = [core for core in _from(allowed, os.getpid()) if core not in free]
        yield tuple(sorted([*free, *shared[: count - len(free)]]))


def _from(cores: list[int], number: int) -> list[int]:
    """The cores beginning at a place that depends on `number`, so that runs which must share do not meet on one."""
    first = number % len(cores)
    return [*cores[first:], *cores[:first]]


def _lock_folder() -> Path | None:
    """This user's folder of locks, on this machine; None where another user's file has its name."""
    folder = Path(tempfile.gettempdir()) / f"tmelt-cores-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
        if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid():
            return folder
    return None


def _lock(path: Path, held: ExitStack) -> bool:
    """Whether the file's lock was free; it is then held until `held` closes."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    held.callback(os.close, descriptor)
    return True
