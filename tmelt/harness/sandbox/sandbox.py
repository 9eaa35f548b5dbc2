"""The harness' side: a sandbox for one job, and the choice of its backend."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from tmelt.harness.sandbox import backends, landlock
from tmelt.harness.sandbox.canary import HOLE, NO_CUDA
from tmelt.harness.sandbox.channel import Channel, pair
from tmelt.harness.sandbox.disk import remove_tree
from tmelt.harness.sandbox.errors import Accident, Refusal, SandboxUnavailable
from tmelt.harness.sandbox.phase import (
    DISMISSED,
    WORKER_KILLED,
    WORKER_LATE,
    Limits,
    Outcome,
    Phase,
    Request,
    Settings,
)
from tmelt.harness.sandbox.temporary import TemporaryFolder

_CANARY_LIMITS = Limits(wall_s=60, memory_mb=4000, processes=64, file_mb=10, disk_mb=10)
_END_PATIENCE_S = 2.0
_CANARY_ENTRY = f"{__package__}.canary:run"


class _Refused(Exception):
    """This backend does not work here."""


class Sandbox:
    """One clean process tree for one job, which runs phases, several at once if asked from several threads.

    Args:
        backend: "bwrap", "apptainer", "landlock", "none", or "auto" for the first that passes the canary.
        gpu: pass GPU devices through.
        image: Apptainer image.
        preload: modules that the worker imports before it forks.
        entry: "module:function" that each phase calls with its spec; it returns the phase's exit code.
        read: paths that phases may be granted to read; a phase sees only those that it names.
        folder: the job's folder: whatever phases write, and whatever else they read, lies in it. None makes one.
        python_path: folders to import `entry` from, besides this package's; readable in every phase.
        threads: of numerical libraries.
        warm: fork all phases from one worker, else start one for each. None: warm where Landlock can keep phases that
            share a worker apart.
        landlock_abi: pretend that the kernel has an older Landlock (0: none), to test what then holds.

    Raises:
        SandboxUnavailable: on entry, when no backend, or not the one asked for, works on this host.
        Accident: on entry, when the sandbox was killed while it started: that says nothing about a backend.
    """

    def __init__(
        self,
        backend: str = "auto",
        *,
        gpu: bool = False,
        image: str | None = None,
        preload: Iterable[str] = (),
        entry: str,
        read: Iterable[Path] = (),
        folder: Path | None = None,
        python_path: Iterable[Path] = (),
        threads: int = 1,
        warm: bool | None = None,
        landlock_abi: int | None = None,
    ):
        if backend not in (*backends.ORDER, "auto", "none"):
            raise Refusal(f"sandbox: {backend!r} is unknown; expected one of auto, {', '.join(backends.ORDER)}, none")
        self.backend = backend
        self.gpu, self.image, self.preload, self.entry, self.threads = gpu, image, tuple(preload), entry, threads
        self.warm = warm
        self._python_path = tuple(map(os.path.realpath, python_path))
        self._inputs = tuple(os.path.realpath(path, strict=True) for path in read)
        self._given_folder = folder
        self._temporary: TemporaryFolder | None = None
        kernel_abi = landlock.kernel_abi()
        self.landlock_abi = kernel_abi if landlock_abi is None else min(landlock_abi, kernel_abi)
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Sandbox":
        if self._given_folder is None:
            self._temporary = TemporaryFolder()
        self.folder = self._temporary.path if self._temporary else Path(self._given_folder).resolve()
        try:
            self._choose()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every process of this sandbox; remove its folder if it made it."""
        self._end_supervisor()
        if self._temporary is not None:
            self._temporary.remove()
            self._temporary = None

    def run(self, phase: Phase) -> Outcome:
        """Run one phase and wait for its end.

        Folders in `phase.write` must exist. As root they are handed to the unprivileged user that the phase runs as.

        Raises:
            ValueError: a path lies neither in `folder` nor in what the sandbox was told it would read.
        """
        return self._run(phase)

    def _run(self, phase: Phase, canary: bool = False) -> Outcome:
        for path in phase.write:
            self._check(path, writable=True)
        read = [self._check(path, writable=False) for path in phase.read]
        scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=self.folder))
        try:
            write = [self._hand_over(path) for path in phase.write]
            own = self._hand_over(scratch)
            request = Request(phase.spec, read, write, own, phase.limits, list(phase.cores), canary)
            return self._ask(request)
        finally:
            remove_tree(scratch)

    def _choose(self) -> None:
        """Start the first backend that works.

        Raises:
            SandboxUnavailable: none does.
        """
        asked = self.backend
        reasons = []
        for backend in backends.ORDER if asked == "auto" else (asked,):
            try:
                self._start(backend)
                if backend != "none" or self.gpu:
                    self._release_canary()
                if reasons:
                    print(f"sandbox: {backend} is used, because {'; '.join(reasons)}", file=sys.stderr, flush=True)
                return
            except _Refused as refusal:
                self._end_supervisor()
                reasons.append(f"{backend}: {refusal}")
        if any(NO_CUDA in reason for reason in reasons):
            raise SandboxUnavailable(
                f"sandbox: candidates would have no GPU ({'; '.join(reasons)}); see profiles/slurm/README.md, or set"
                " design.device to cpu"
            )
        raise SandboxUnavailable(
            f"sandbox: no usable backend on this host ({'; '.join(reasons)}); install bubblewrap, or Apptainer and "
            "name its image by `sandbox_image` (made from envs/apptainer.def), or accept the risk with `sandbox: none`"
        )

    def _start(self, backend: str) -> None:
        lack = backends.missing(backend, self.image)
        if lack:
            raise _Refused(lack)
        if backend == "landlock" and not self.landlock_abi:
            raise _Refused("this kernel has no Landlock")
        self.backend = backend
        settings = self._settings(backend)
        if settings.uid is not None:
            self.folder.chmod(self.folder.stat().st_mode | 0o111)  # that user must get through to its own folders
        self._channel, theirs = pair()
        command = backends.python_command(sys.executable, ["-I", "-S"], "supervisor", (), theirs.fileno())
        with theirs:
            self._supervisor = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # No secret in its memory, or in that of anything that it starts.
                env=backends.supervisor_environment(),
                start_new_session=True,
            )
        with contextlib.suppress(OSError):  # it may have been killed already: then it does not answer either
            self._channel.send(dataclasses.asdict(settings))
        answer = self._channel.receive() or {"error": "the supervisor ended"}
        if "error" in answer:
            self._forbid_chance(answer["error"])
            raise _Refused(answer["error"])

    def _forbid_chance(self, error: str) -> None:
        """Take no accident for proof that a backend does not work here: the next one may be weaker.

        Raises:
            Accident: it was killed, was late, or this machine lacked memory or the like.
        """
        status = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._supervisor.wait(_END_PATIENCE_S) if self._supervisor is not None else None
        if status == -signal.SIGKILL or error == WORKER_KILLED:
            victim = "supervisor" if status == -signal.SIGKILL else "worker"
            raise Accident(f"sandbox {self.backend}: its {victim} was killed while it started")
        if error == WORKER_LATE or backends.is_shortage(error):
            raise Accident(
                f"sandbox {self.backend}: {error}; this says nothing about the backend: free memory, processes or disk "
                "of this machine and run again"
            )

    def _settings(self, backend: str) -> Settings:
        warm = self.warm
        if warm is None:
            warm = backend == "none" or (backend != "apptainer" and self.landlock_abi > 0)
        if warm and backend != "none" and not self.landlock_abi:
            raise ValueError("without Landlock nothing keeps phases that share a worker apart")
        return Settings(
            backend=backend,
            gpu=self.gpu,
            image=self.image,
            python=sys.executable,
            entry=self.entry,
            preload=self.preload,
            python_path=self._python_path,
            environment=backends.clean_environment(self.threads),
            system=(*backends.interpreter_paths(), *self._python_path),
            inputs=self._inputs,
            folder=str(self.folder),
            folder_is_temporary=self._given_folder is None,
            warm=warm,
            landlock_abi=self.landlock_abi,
            uid=backends.child_uid(backend),
        )

    def _release_canary(self) -> None:
        """Try to get out of the sandbox that was just started, and with `gpu` to use CUDA inside.

        Raises:
            _Refused: it could, or the kernel refuses a step of the confinement.
            Accident: it did not come to its end, which proves nothing.
        """
        listener = socket.create_server(("127.0.0.1", 0))
        with tempfile.TemporaryDirectory(prefix="tmelt-canary-") as outside, listener:
            Path(outside).chmod(0o777)
            (Path(outside) / "secret").write_text("secret")
            spec = {
                "secret": f"{outside}/secret",
                "outside": outside,
                "port": listener.getsockname()[1],
                "harness": os.getpid(),
                "environment": sorted(backends.clean_environment(self.threads)),
                "confined": self.backend != "none",
                "cuda": self.gpu,
            }
            outcome = self._run(Phase(spec, (), (), _CANARY_LIMITS), canary=True)
        if outcome.status == "ok":
            return
        if outcome.status == "error":
            self._forbid_chance(outcome.error)
            raise _Refused(outcome.error)
        found = [line for line in outcome.output.splitlines() if line.startswith((HOLE, NO_CUDA))]
        if outcome.status != "crash" or not found:
            words = outcome.output.strip().rpartition("\n")[2]
            raise Accident(
                f"sandbox {self.backend}: its self-test ended as {outcome.status} without a finding ({words[:200]}); "
                "is this machine short of memory or overloaded?"
            )
        raise _Refused(" ".join(found))

    def _ask(self, request: Request) -> Outcome:
        """Send a request with a socket of its own to the supervisor; wait for the outcome."""
        connection, theirs = pair()
        with contextlib.closing(connection):
            try:
                with theirs, self._lock:
                    if self._channel is None:
                        raise RuntimeError("this sandbox is not open")
                    socket.send_fds(self._channel.socket, [b"p"], [theirs.fileno()])
                connection.send(dataclasses.asdict(request))
                answer = connection.receive()
            except OSError:
                answer = None
        if answer is None:
            return Outcome(self.backend, "error", error="the sandbox's supervisor was killed")
        return Outcome(**answer)

    def _check(self, path: Path, *, writable: bool) -> str:
        """The real path, which must lie where this sandbox was told that phases reach."""
        real = os.path.realpath(path, strict=True)
        places = (str(self.folder),) if writable else (str(self.folder), *self._inputs)
        if not any(real == place or real.startswith(place + os.sep) for place in places):
            raise ValueError(f"{path}: not in a place that this sandbox may {'write' if writable else 'read'}")
        return real

    def _hand_over(self, path: Path) -> str:
        """Give a folder to the user that the phase runs as."""
        real = os.path.realpath(path, strict=True)
        uid = backends.child_uid(self.backend)
        if uid is not None:
            os.chown(real, uid, uid)
        return real

    def _end_supervisor(self) -> None:
        if self._channel is not None:
            with contextlib.suppress(OSError):  # it may have ended
                self._channel.socket.send(DISMISSED)
            self._channel.close()
            self._channel = None
        if self._supervisor is not None:
            self._supervisor.wait()
            self._supervisor = None


def choose_backend(preferred: str = "auto", gpu: bool = False, image: str | None = None) -> str:
    """The backend that this host can use, found by trying to break out of it; with `gpu` by a CUDA operation as well.

    Raises:
        SandboxUnavailable: none, or not the preferred one.
    """
    with Sandbox(preferred, gpu=gpu, image=image, preload=(), entry=_CANARY_ENTRY) as sandbox:
        return sandbox.backend
