"""A worker as the supervisor sees it."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from tmelt.harness.sandbox import processes
from tmelt.harness.sandbox.backends import WITH_NAMESPACES, worker_command
from tmelt.harness.sandbox.channel import Channel, pair
from tmelt.harness.sandbox.phase import WORKER_KILLED, WORKER_LATE, Confinement, Job, Request, Settings

_START_PATIENCE_S = 300.0  # importing torch from a cold network file system
_END_PATIENCE_S = 1.0
_LOG_CHARACTERS = 2000
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # by its own status, or as bubblewrap tells it
# RLIMIT_NPROC counts a user's threads on the whole machine, later jobs' included. It is only the backstop for a
# bomb that is faster than the watchdog, which counts the phase's own.
_TASK_SLACK = 1024


@dataclass(frozen=True)
class Launched:
    """A phase that a worker has been handed: its control channel and the reading end of its output."""

    control: Channel
    output: int


class WorkerProcess:
    """Starts a worker and hands it phases.

    Args:
        read: paths that its phases may be granted, besides interpreter and library.
        write: folders in which its phases may be granted a part.
    """

    def __init__(self, settings: Settings, read: Iterable[str], write: Iterable[str]):
        self.settings = settings
        self._log = os.memfd_create("worker-log")
        self._channel, theirs = pair()
        try:
            self._process = subprocess.Popen(
                worker_command(settings, read, write),
                stdin=theirs,
                stdout=self._log,
                stderr=self._log,
                env=settings.environment,  # of bubblewrap itself as well: /proc/1/environ shows it inside
                start_new_session=True,
            )
        finally:
            theirs.close()

    def wait_until_ready(self) -> None:
        """Wait for its imports.

        Raises:
            RuntimeError: it ended instead; with the end of what it printed.
        """
        try:
            message = self._channel.receive(_START_PATIENCE_S)
        except TimeoutError:
            self.end()
            raise RuntimeError(WORKER_LATE) from None
        if message is None:
            words = WORKER_KILLED if self.killed() else f"the worker did not start: {self._last_words()}"
            self.end()
            raise RuntimeError(words)

    def _last_words(self) -> str:
        size = os.fstat(self._log).st_size
        text = os.pread(self._log, _LOG_CHARACTERS, max(0, size - _LOG_CHARACTERS)).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else "it printed nothing"

    def launch(self) -> Launched:
        """Fork a keeper.

        Raises:
            OSError: the worker is gone.
        """
        control, theirs = pair()
        reading, writing = os.pipe()
        try:
            socket.send_fds(self._channel.socket, [b"p"], [theirs.fileno(), writing])
        except OSError:
            os.close(reading)
            control.close()
            raise
        finally:
            theirs.close()
            os.close(writing)
        return Launched(control, reading)

    def host_pid(self, pid: int) -> int:
        """The number in our PID namespace of the process below this worker that has `pid` in its own.

        Raises:
            RuntimeError: there is none.
        """
        for candidate in processes.descendants(self._process.pid):
            levels = processes.status(candidate).get("NSpid", str(candidate)).split()
            if int(levels[-1]) == pid:
                return candidate
        raise RuntimeError(f"the keeper {pid} has vanished")

    def job(self, request: Request) -> Job:
        """What a keeper of this worker must know for `request`."""
        settings = self.settings
        uid = os.getuid() if settings.uid is None else settings.uid
        return Job(
            spec=request.spec,
            scratch=request.scratch,
            canary=request.canary,
            cores=request.cores,
            confinement=Confinement(
                enabled=settings.backend != "none",
                read=[*settings.system, *request.read],
                write=[*request.write, request.scratch],
                uid=settings.uid,
                landlock_abi=settings.landlock_abi,
                namespaces=settings.backend in WITH_NAMESPACES,
                gpu=settings.gpu,
                memory_mb=request.limits.memory_mb,
                file_mb=request.limits.file_mb,
                tasks=processes.count_tasks(uid) + request.limits.processes + _TASK_SLACK,
            ),
        )

    def killed(self) -> bool:
        """Whether it was killed, by a signal or by the kernel for lack of memory."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_PATIENCE_S) in _KILLED
        return False

    def end(self) -> None:
        """Kill the worker with everything below it, and collect it."""
        self._channel.close()
        if self._process.poll() is None:
            processes.end_below(self._process.pid)
            self._process.kill()
            self._process.wait()
        os.close(self._log)
