"""The warm process: imports torch and the entry once, then forks for every phase. It never runs candidate code itself.

Started by the supervisor (backends.py) with an empty environment; its standard input is the supervisor's socket.
"""

import importlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from tmelt.harness.sandbox import canary, kernel
from tmelt.harness.sandbox.channel import Channel
from tmelt.harness.sandbox.confine import confine
from tmelt.harness.sandbox.phase import Job
from tmelt.harness.sandbox.processes import collect_ended, usage

Entry = Callable[[dict[str, Any]], int]
_OOM_SCORE_WORKER, _OOM_SCORE_CHILD = 500, 1000  # when memory runs out candidates go first, the harness last


def main(preload: list[str], entry_name: str) -> None:
    """Serve phases until the supervisor is gone.

    Raises:
        RuntimeError: a preloaded module started a thread: a fork could then hang on a lock that the thread held.
    """
    supervisor = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    _set_oom_score(_OOM_SCORE_WORKER)
    for name in preload:
        importlib.import_module(name)
    entry = _find(entry_name)
    if usage([os.getpid()]).tasks != 1:
        raise RuntimeError(f"importing {', '.join(preload)} or {entry_name} started threads")
    # Neither memory nor descriptors of this process are open to a child of the same user.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    supervisor.sendall(json.dumps({"ready": sorted(preload)}).encode() + b"\n")
    while True:
        message, descriptors, _, _ = socket.recv_fds(supervisor, 1, 2)
        collect_ended()  # earlier keepers
        if not message:
            return
        if os.fork() == 0:
            supervisor.close()
            _keep(*descriptors, entry)
        for descriptor in descriptors:
            os.close(descriptor)


def _find(entry_name: str) -> Entry:
    """The function that "package.module:function" names."""
    module, _, function = entry_name.partition(":")
    return getattr(importlib.import_module(module), function)


def _keep(control_descriptor: int, output: int, entry: Entry) -> NoReturn:
    """Be the keeper of one phase: start its child, adopt and collect everything that the child leaves behind."""
    control = Channel(socket.socket(fileno=control_descriptor))
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        job = Job.from_json(control.receive())
        control.send({"keeper": os.getpid()})
        if control.receive() != "go":
            os._exit(0)
        child = os.fork()
        if child == 0:
            _run(job, control, output, entry)
        os.close(output)
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, 0)
                if pid == child:
                    control.send({"ended": os.waitstatus_to_exitcode(status)})
        times = os.times()
        control.send({"cpu_s": times.children_user + times.children_system})
    except OSError:  # the supervisor is gone, and ends us
        pass
    os._exit(0)


def _run(job: Job, control: Channel, output: int, entry: Entry) -> NoReturn:
    """Be the child: confine this process, then run the entry."""
    try:
        keeper = os.getppid()
        os.setsid()
        if job.cores:  # seccomp takes away the call that could change it again
            os.sched_setaffinity(0, job.cores)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # else its own files below /proc are closed to it
        _set_oom_score(_OOM_SCORE_CHILD)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _make_private(job.scratch)
        confine(job.confinement)
        os.chdir(job.scratch)  # only now: it belongs to the user that this process has become
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of uid would have cleared it
        if os.getppid() != keeper:
            os._exit(1)
        control.send({"confined": True})
        control.socket.detach()
        os.closerange(3, 1 << 20)
    except BaseException as error:
        with suppress(OSError):
            control.send({"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    try:
        code = canary.run(job.spec) if job.canary else entry(job.spec)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) and 0 <= code < 256 else 1)


def _make_private(scratch: str) -> None:
    """What forks of one parent would share without meaning to: temporary folder, random numbers, print buffer."""
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    tempfile.tempdir = None
    random.seed()
    sys.stdout.reconfigure(line_buffering=True)  # the last words of a run that is killed arrive


def _set_oom_score(score: int) -> None:
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write(str(score))
