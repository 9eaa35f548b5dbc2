"""A process tree as /proc shows it: who is below whom, how much memory, how many threads; and ending it."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_KILL_PATIENCE_S = 10.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KERNEL_LISTS_CHILDREN = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()


@dataclass(frozen=True)
class Usage:
    """What a set of processes holds."""

    memory_mb: float  # anonymous and shared memory; pages that a fork shares count once per process
    tasks: int  # processes and threads


def descendants(root: int) -> list[int]:
    """All processes below `root`, zombies included."""
    children_of = _children if _KERNEL_LISTS_CHILDREN else _parent_table().get
    found, to_visit = [], [root]
    while to_visit:
        children = children_of(to_visit.pop()) or []
        found += children
        to_visit += children
    return found


def _children(pid: int) -> list[int]:
    """Direct children, from the kernel's list per thread: no need to read all of /proc, every 50 ms, on a big node."""
    children = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, (thread / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        pass
    return children


def _parent_table() -> dict[int, list[int]]:
    """Every process's children, for kernels built without those lists."""
    table: dict[int, list[int]] = {}
    for pid in _all_pids():
        parent = status(pid).get("PPid")
        if parent is not None:
            table.setdefault(int(parent), []).append(pid)
    return table


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def status(pid: int) -> dict[str, str]:
    """The fields of /proc/<pid>/status; empty when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def usage(pids: list[int]) -> Usage:
    """Memory and tasks of these processes, cheaply."""
    kilobytes = tasks = 0
    for pid in pids:
        fields = status(pid)
        if "RssAnon" not in fields:  # ended, or a zombie
            continue
        kilobytes += sum(int(fields[key].split()[0]) for key in ("RssAnon", "RssShmem"))
        tasks += int(fields["Threads"])
    return Usage(kilobytes / 1024, tasks)


def cpu_s(root: int, pids: list[int]) -> float:
    """CPU seconds of these processes and of all that ended below `root`, whose descendants they are.

    A process that ended is in its parent's account once it is collected, and a zombie still has its own. Parents come
    before their children in `pids`, so that a child that is collected meanwhile is missed once, not counted twice.
    """
    ticks = sum(sum(_times(pid)) for pid in pids) + sum(_times(root)[2:])
    return ticks / _TICKS_PER_S


def _times(pid: int) -> list[int]:
    """Clock ticks of a process, and of its collected children: user, system, user, system; zeros when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [0, 0, 0, 0]
    return [int(field) for field in fields[11:15]]


def proportional_mb(pids: list[int], upper_mb: float) -> float:
    """Memory of these processes with shared pages divided among those that share them: exact, but slow.

    A process that hides its pages (PR_SET_DUMPABLE 0) gets no discount: then `upper_mb` stands.
    """
    kilobytes = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon", "Pss_Shmem")))
        except PermissionError:  # a zombie answers so as well
            if "RssAnon" in status(pid):
                return upper_mb
        except OSError:
            pass
    return kilobytes / 1024


class MemfdWatch:
    """Memory files: pages that are not mapped are in no process' resident size, and CUDA must be allowed them."""

    def __init__(self) -> None:
        self._hidden_since: dict[int, float] = {}

    def megabytes(self, pids: list[int]) -> float:
        """Their size; infinite when a process keeps its descriptors hidden for more than a second."""
        blocks = {}
        now = time.monotonic()
        for pid in pids:
            try:
                for entry in os.scandir(f"/proc/{pid}/fd"):
                    with suppress(FileNotFoundError):
                        if os.readlink(entry.path).startswith("/memfd:"):  # noqa: PTH115
                            facts = entry.stat()
                            blocks[facts.st_ino] = facts.st_blocks
                self._hidden_since.pop(pid, None)
            except PermissionError:
                if "RssAnon" in status(pid) and now - self._hidden_since.setdefault(pid, now) > 1:
                    return float("inf")
            except OSError:
                pass
        return sum(blocks.values()) / 2048


def count_tasks(uid: int) -> int:
    """Threads of one user on this machine: what RLIMIT_NPROC counts."""
    total = 0
    for pid in _all_pids():
        with suppress(OSError):
            folder = Path(f"/proc/{pid}")
            if folder.stat().st_uid == uid:
                total += sum(1 for _ in (folder / "task").iterdir())
    return total


def available_mb() -> float:
    """Memory that this machine could still give out."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) / 1024
    return float("inf")


def oom_kills() -> int:
    """How often the kernel has ended a process for lack of memory, on this machine or in a cgroup of it."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


def end_below(root: int) -> bool:
    """Kill everything below `root` until nothing is left; False if something outlives ten seconds of it.

    Processes fork while they are being killed, so this looks again and again. `root` must collect its orphans; when it
    is the calling process, this does.
    """
    deadline = time.monotonic() + _KILL_PATIENCE_S
    while alive := descendants(root):
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if root == os.getpid():
            collect_ended()
        if time.monotonic() > deadline:  # e.g. stuck in a driver
            return False
        time.sleep(0.0005)
    return True


def collect_ended() -> None:
    """Take note of all children that have ended, without waiting."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
