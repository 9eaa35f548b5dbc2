"""The process between the harness and everything untrusted: starts workers, hands them phases, ends it all at the end.

Reads its settings from the harness' socket, then one message per phase with that phase's own socket beside it. When
the harness is gone, SIGKILL included, the socket ends, and so does every process below this one.
"""

import dataclasses
import os
import select
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from tmelt.harness.sandbox import kernel, processes
from tmelt.harness.sandbox.channel import Channel
from tmelt.harness.sandbox.disk import remove_tree
from tmelt.harness.sandbox.phase import DISMISSED, WORKER_KILLED, Outcome, Request, Settings
from tmelt.harness.sandbox.supervise import supervise
from tmelt.harness.sandbox.worker_process import WorkerProcess

_PARENT_CHECK_S = 0.5
_DEATH_S = 1.0
_LOOK_S = 0.01


def main(descriptor: int) -> None:
    """Serve the harness at the other end of `descriptor` until it closes or dies."""
    harness = Channel(socket.socket(fileno=descriptor))
    parent = os.getppid()
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)  # whatever is orphaned below comes to us, not to init
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    settings, dismissed = None, False
    try:
        settings = Settings.from_json(harness.receive())
        dismissed = _serve(harness, parent, settings)
    except (_Stopped, OSError):  # the same as the harness going away
        pass
    finally:
        processes.end_below(os.getpid())
        if settings is not None and settings.folder_is_temporary and not dismissed and _is_gone(parent):
            remove_tree(settings.folder)
        os._exit(0)


class _Stopped(BaseException):
    """This process was asked to end."""


def _stop(*_: Any) -> None:
    raise _Stopped


def _is_gone(parent: int) -> bool:
    """Whether the harness was killed, and so cannot clear up by itself."""
    deadline = time.monotonic() + _DEATH_S  # its sockets close before its children get another parent
    while os.getppid() == parent and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return os.getppid() != parent


def _serve(harness: Channel, parent: int, settings: Settings) -> bool:
    """Serve until the end; whether the harness said that it was the end."""
    shared = None
    try:
        if settings.warm:
            shared = WorkerProcess(settings, settings.inputs, (settings.folder,))
            shared.wait_until_ready()
    except (OSError, RuntimeError) as error:
        harness.send({"error": str(error)})
        return True
    harness.send({"ready": True})
    while os.getppid() == parent:  # a fork of the harness may hold its socket open beyond its death
        if not select.select([harness], [], [], _PARENT_CHECK_S)[0]:
            continue
        message, descriptors, _, _ = socket.recv_fds(harness.socket, 1, 1)
        if message in (b"", DISMISSED):
            return message == DISMISSED
        connection = Channel(socket.socket(fileno=descriptors[0]))
        threading.Thread(target=_serve_phase, args=(settings, shared, connection), daemon=True).start()
    return False


def _serve_phase(settings: Settings, shared: WorkerProcess | None, connection: Channel) -> None:
    """Run one phase, in the shared worker or in one of its own, and report how it ended."""
    worker = None
    outcome = None
    try:
        request = Request.from_json(connection.receive())
        if shared is None:
            worker = WorkerProcess(settings, request.read, [*request.write, request.scratch])
            worker.wait_until_ready()
        outcome = supervise(worker or shared, request, connection)
        answer = outcome
    except Exception as error:  # whatever the phase did to us: it has failed
        served = worker or shared
        words = WORKER_KILLED if served is not None and served.killed() else str(error) or type(error).__name__
        answer = Outcome(settings.backend, "error", error=words)
    if worker is not None:
        worker.end()
    with suppress(OSError):  # the harness may no longer wait
        connection.send(dataclasses.asdict(answer))
    connection.close()
    if outcome is None:  # something may have got away from its keeper: end all
        os.kill(os.getpid(), signal.SIGTERM)
