"""A control group of its own for one phase, where this host delegates them: limits that the kernel itself keeps.

Most cluster nodes delegate nothing; the watchdog does the same work from outside there.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

from tmelt.harness.sandbox.phase import Limits


class Leaf:
    """One cgroup v2 leaf."""

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    def create(cls, name: str, limits: Limits) -> "Leaf | None":
        """A leaf beside our own with memory and process limits, or None where that is not allowed."""
        parent = _delegated_folder()
        if parent is None:
            return None
        leaf = cls(parent / name)
        try:
            leaf.folder.mkdir()
        except OSError:
            return None
        try:
            (leaf.folder / "memory.max").write_text(str(limits.memory_mb << 20))
            (leaf.folder / "pids.max").write_text(str(limits.processes + 1))  # the keeper is in it as well
        except OSError:
            leaf.remove()
            return None
        return leaf

    def add(self, pid: int) -> bool:
        """Move a process in; its future children are born there."""
        try:
            (self.folder / "cgroup.procs").write_text(str(pid))
        except OSError:
            return False
        return True

    def oom_kills(self) -> int:
        """How often the kernel ended one of its processes for lack of memory."""
        with suppress(OSError):
            for line in (self.folder / "memory.events").read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """Delete the leaf; its last processes may still be on their way out."""
        for _ in range(100):
            with suppress(OSError):
                self.folder.rmdir()
            if not self.folder.exists():
                return
            time.sleep(0.01)


def _delegated_folder() -> Path | None:
    """The cgroup v2 folder above ours, if it hands memory and process limits down to its children and is ours."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            mount = Path(fields.split()[4])
            break
    else:
        return None
    own = next((line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), "/")
    parent = (mount / own.strip("/")).parent if own.strip("/") else mount
    try:
        controllers = (parent / "cgroup.subtree_control").read_text().split()
    except OSError:
        return None
    return parent if {"memory", "pids"} <= set(controllers) and os.access(parent, os.W_OK) else None
