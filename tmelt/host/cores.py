"""Cores of this machine for one run: of those that this process may use, some that no other run holds."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tmelt.host.locks import lock_folder, lock_if_free


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
        folder = lock_folder("cores")
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


def _lock(path: Path, held: ExitStack) -> bool:
    """Whether the file's lock was free; it is then held until `held` closes."""
    descriptor = lock_if_free(path)
    if descriptor is not None:
        held.callback(os.close, descriptor)
    return descriptor is not None
