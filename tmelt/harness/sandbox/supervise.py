"""Watch over one phase from its start to the end of its last process."""

import dataclasses
import os
import select
import time
from contextlib import suppress

from tmelt.harness.sandbox import cgroup, disk, processes
from tmelt.harness.sandbox.channel import Channel
from tmelt.harness.sandbox.phase import Outcome, Request, Status
from tmelt.harness.sandbox.worker_process import WorkerProcess

_LOOK_S = 0.05
_LOOK_AT_DISK_S = 1.0
_SET_UP_PATIENCE_S = 60.0
_RESERVE_MB = 256  # below this the machine itself is in danger
_SIGKILL = 9
_held: dict[int, float] = {}  # MB of each phase that this process watches just now, by its keeper


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Why a phase was ended from outside."""

    status: Status
    note: str  # for the user or agent that reads the phase's output


def supervise(worker: WorkerProcess, request: Request, connection: Channel) -> Outcome:
    """Run `request` in a fork of `worker`; returns when all of its processes are gone.

    Args:
        connection: the harness' end; when it closes, the phase is ended.

    Raises:
        OSError, RuntimeError: the sandbox, not the candidate, failed.
    """
    launched = worker.launch()
    kills_before = processes.oom_kills()
    leaf = keeper = None
    try:
        launched.control.send(dataclasses.asdict(worker.job(request)))
        keeper = worker.host_pid(_expect(launched.control, "keeper"))
        leaf = cgroup.Leaf.create(f"tmelt-{os.getpid()}-{keeper}", request.limits)
        if leaf is not None and not leaf.add(keeper):
            leaf.remove()
            leaf = None
        launched.control.send("go")
        _expect(launched.control, "confined")
        watch = _Watch(worker.settings.gpu, request, keeper)
        output = _Output(launched.output)
        code, cpu_s = _follow(watch, output, launched.control, connection)
        if watch.verdict is None and disk.used_mb([*request.write, request.scratch]) > request.limits.disk_mb:
            watch.verdict = Verdict("disk", watch.disk_note)
        killed_by_kernel = code == -_SIGKILL and (
            processes.oom_kills() > kills_before or (leaf is not None and leaf.oom_kills() > 0)
        )
        if watch.verdict is None and killed_by_kernel:
            watch.verdict = Verdict("oom", "the kernel ended it: out of memory")
        return _outcome(worker.settings.backend, watch, output, code, cpu_s)
    finally:
        if keeper is not None:
            _held.pop(keeper, None)
        if leaf is not None:
            leaf.remove()
        launched.control.close()
        os.close(launched.output)


def _expect(control: Channel, key: str) -> int:
    """The value of the keeper's next message, which must have `key`.

    Raises:
        RuntimeError: it is an error or something else.
    """
    message = control.receive(_SET_UP_PATIENCE_S)
    if message is None or key not in message:
        raise RuntimeError((message or {}).get("error", "the worker ended before the phase could start"))
    return message[key]


def _follow(watch: "_Watch", output: "_Output", control: Channel, connection: Channel) -> tuple[int, float]:
    """Wait for the phase's end and for the end of everything it started; its exit code (-n: signal n), CPU seconds.

    Raises:
        RuntimeError: the keeper died, or a process cannot be ended.
    """
    code = None
    while code is None:
        ready = select.select([control, connection, *output.sources()], [], [], _LOOK_S)[0]
        if connection in ready:
            watch.verdict = Verdict("error", "the harness gave up on this phase")
            break
        if control in ready:
            message = control.receive()
            if message is None:
                raise RuntimeError("the phase's keeper was killed, perhaps for lack of memory on this machine")
            code = message["ended"]
        if output.sources() and output.sources()[0] in ready:
            output.read()
        if code is None and watch.look():
            break
    watch.wall_s = time.monotonic() - watch.started
    if not processes.end_below(watch.keeper):
        raise RuntimeError("a process of the phase cannot be ended: it hangs in the kernel or a driver")
    if code is None:
        code = _expect(control, "ended")
    cpu_s = _expect(control, "cpu_s")
    output.drain()
    return code, cpu_s


def _outcome(backend: str, watch: "_Watch", output: "_Output", code: int, cpu_s: float) -> Outcome:
    text, verdict = output.text(), watch.verdict
    if verdict is not None:
        text += f"\n[sandbox] {verdict.note}\n"
    return Outcome(
        backend=backend,
        status=verdict.status if verdict else "ok" if code == 0 else "crash",
        exit=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        wall_s=round(watch.wall_s, 4),
        cpu_s=round(cpu_s, 3),
        memory_mb=round(watch.memory_mb, 1),
        processes=watch.tasks,
        output=text,
        error=verdict.note if verdict and verdict.status == "error" else "",
    )


@dataclasses.dataclass(frozen=True)
class Shortage:
    """Who is to blame when the machine's memory runs out: the candidate, or something else."""

    available_mb: float  # when the phase started
    held_mb: float  # by the phases of this job that ran already

    def verdict(self, available_mb: float, mine_mb: float, held_mb: list[float]) -> Verdict | None:
        """The end of a phase that runs while the machine is short of memory, if it is the one to end.

        Args:
            available_mb: now.
            mine_mb: what this phase holds.
            held_mb: what each phase of this job holds, this one among them. They run one candidate.
        """
        gone, taken = self.available_mb - available_mb, sum(held_mb) - self.held_mb
        if taken < gone / 2:
            return Verdict("error", f"the machine ran out of memory while this phase held {mine_mb:.0f} MB")
        if mine_mb < max(held_mb):
            return None  # the one beside it ends first, and may be enough
        return Verdict("oom", f"it took {mine_mb:.0f} MB, and with that the machine ran out of memory")


class _Watch:
    """Compares what a phase uses with its limits."""

    def __init__(self, gpu: bool, request: Request, keeper: int):
        self.keeper = keeper
        self.verdict: Verdict | None = None
        self.started = time.monotonic()
        self.wall_s = self.memory_mb = 0.0
        self.tasks = 0
        self.disk_note = f"more than {request.limits.disk_mb} MB or 20,000 files written, or hidden from view"
        self._limits = request.limits
        self._folders = [*request.write, request.scratch]
        self._memfds = processes.MemfdWatch() if gpu else None
        self._next_disk = self.started + _LOOK_AT_DISK_S
        self._next_look = self.started
        self._shortage = Shortage(processes.available_mb(), sum(_held.values()))

    def look(self) -> bool:
        """Whether a limit is passed; `verdict` then says which."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self.verdict = self._passed(now)
        self._next_look = time.monotonic() + _LOOK_S
        return self.verdict is not None

    def _passed(self, now: float) -> Verdict | None:
        limits = self._limits
        if now - self.started > limits.wall_s:
            return Verdict("timeout", f"more than {limits.wall_s:g} seconds")
        pids = processes.descendants(self.keeper)
        if limits.cpu_s is not None and processes.cpu_s(self.keeper, pids) > limits.cpu_s:
            return Verdict("timeout", f"more than {limits.cpu_s:g} seconds of CPU time")
        usage = processes.usage(pids)
        memory_mb = usage.memory_mb
        if memory_mb > limits.memory_mb:
            memory_mb = processes.proportional_mb(pids, memory_mb)
        if self._memfds is not None:
            memory_mb += self._memfds.megabytes(pids)
        self.memory_mb = max(self.memory_mb, memory_mb)
        self.tasks = max(self.tasks, usage.tasks)
        if memory_mb > limits.memory_mb:
            return Verdict("oom", f"more than {limits.memory_mb} MB of memory")
        if usage.tasks > limits.processes:
            return Verdict("crash", f"more than {limits.processes} processes and threads")
        _held[self.keeper] = memory_mb
        if (available := processes.available_mb()) < _RESERVE_MB:
            return self._shortage.verdict(available, memory_mb, list(_held.values()))
        if now > self._next_disk:
            used_mb = disk.used_mb(self._folders)
            self._next_disk = time.monotonic() + _LOOK_AT_DISK_S
            if used_mb > limits.disk_mb:
                return Verdict("disk", self.disk_note)
        return None


class _Output:
    """The beginning and the end of what a phase prints, however much it is."""

    KEPT = 32768

    def __init__(self, descriptor: int):
        self._descriptor: int | None = descriptor
        self._head = self._tail = b""
        self._skipped = False
        os.set_blocking(descriptor, False)

    def sources(self) -> list[int]:
        """What select must look at: nothing once the phase has closed its end."""
        return [] if self._descriptor is None else [self._descriptor]

    def read(self) -> bool:
        """Take what is there; False when there is nothing."""
        if self._descriptor is None:
            return False
        data = os.read(self._descriptor, 65536)
        if not data:
            self._descriptor = None
            return False
        room = self.KEPT - len(self._head)
        self._head += data[:room]
        rest = self._tail + data[max(room, 0) :]
        self._skipped |= len(rest) > self.KEPT
        self._tail = rest[-self.KEPT :]
        return True

    def drain(self) -> None:
        """Take the rest; all writers are gone."""
        with suppress(BlockingIOError):
            while self.read():
                pass

    def text(self) -> str:
        """Head and tail."""
        gap = b"\n[...]\n" if self._skipped else b""
        return (self._head + gap + self._tail).decode(errors="replace")
