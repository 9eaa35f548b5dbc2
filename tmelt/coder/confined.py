"""Run the command of a coding agent inside bubblewrap, within limits that are enforced from outside.

It sees the system's files and Python's, read-only, the paths that the config grants, its workspace, a home of its own
and /tmp. It has an environment, processes and a network namespace of its own: the one way out is the proxy. With
`sandbox: none` it runs as the user, with everything that the user sees.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tmelt.coder import inside
from tmelt.coder.proxy import Proxy, loopback_ports
from tmelt.errors import InfrastructureError, InputError
from tmelt.harness.confined import refuse_exposed
from tmelt.harness.sandbox import kernel, processes
from tmelt.harness.sandbox.backends import child_uid, interpreter_paths
from tmelt.harness.sandbox.confine import SYSTEM
from tmelt.harness.sandbox.disk import remove_tree, used_mb

WORKSPACE, HOME, RUN = "/workspace", "/home/agent", "/run/tmelt"
PROXY_PORT = 3128
LOG_BYTES = 2 << 20  # of each of standard output and standard error
_CERTIFICATES = ("/etc/ssl", "/etc/pki", "/etc/ca-certificates")
_PAUSE_S = 0.1
_TASK_SLACK = 1024  # RLIMIT_NPROC counts the user's other processes as well


class NotStarted(InfrastructureError):
    """The sandbox failed before the command began."""


@dataclass(frozen=True)
class Grant:
    """What a command may see and use.

    Attributes:
        environment: variables beside those that every command has.
        read: files and folders, read-only.
        network: hosts, as tmelt.coder.proxy takes them.
        home: folder that its home is a copy of; None for an empty home.
        wall_s: seconds until it is ended.
        memory_mb: resident, of all its processes.
        processes: processes and threads alive at once.
        disk_mb: of the workspace and the home.
    """

    environment: Mapping[str, str]
    read: Sequence[Path]
    network: Sequence[str]
    home: Path | None
    wall_s: float
    memory_mb: int
    processes: int
    disk_mb: int


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: ok, failed, timeout, memory, processes or disk.
        exit: its exit status; None when it was ended.
        wall_s, cpu_s: seconds.
        stdout, stderr: the beginning and the end of what it printed.
        refused: connections to hosts that are not granted, by host and port.
    """

    status: str
    exit: int | None
    wall_s: float
    cpu_s: float
    stdout: str
    stderr: str
    refused: Mapping[str, int]


def refuse_unusable(sandbox: str) -> None:
    """Refuse a host or a setting that cannot confine a coding agent.

    Raises:
        InputError: bubblewrap is missing, or the design names another sandbox.
    """
    if sandbox in ("apptainer", "landlock"):
        raise InputError(
            f"config: design.sandbox: {sandbox} cannot confine a coding agent (kind: coder), which needs a network of"
            " its own; take auto or bwrap"
        )
    if sandbox != "none" and shutil.which("bwrap") is None:
        raise InputError(
            "config: kind: coder needs bubblewrap (bwrap), which is not installed here; install it, or accept the risk"
            " with design.sandbox: none"
        )


def run_confined(
    command: Sequence[str], workspace: Path, grant: Grant, *, sandbox: str, hidden: Path,
    serve: Callable[[Path], object] = lambda folder: None,
) -> Ended:  # fmt: skip
    """Run a command to its end, or until a limit ends it.

    Args:
        command: words; the first is looked up in PATH inside.
        workspace: folder that it works in; as root it is handed to an unprivileged user.
        grant: what it may see and use.
        sandbox: `design.sandbox`.
        hidden: folder of which no part may be in sight.
        serve: called with a folder that exists inside as RUN, to put sockets there; its value is closed at the end.

    Raises:
        InputError: something hidden is in sight, or the command cannot be started.
        NotStarted: bubblewrap failed.
    """
    refuse_unusable(sandbox)
    free = sandbox == "none"
    if not free:
        refuse_exposed(hidden)
        _refuse_granted(grant.read, hidden)
    place = Path(tempfile.mkdtemp(prefix="tmelt-coder-"))
    try:
        sockets, home = place / "run", place / "home"
        sockets.mkdir(mode=0o755)
        if grant.home is not None:
            shutil.copytree(grant.home, home, symlinks=True)
        else:
            home.mkdir()
        place.chmod(0o755)
        proxy = Proxy(sockets / "proxy", grant.network)
        desk = serve(sockets)
        try:
            if free:
                return _watch(_Plain(command, workspace, grant, place), grant, [workspace, home], proxy)
            uid = child_uid("bwrap")
            for folder in (workspace, home):
                _hand_over(folder, uid)
            return _watch(_Bwrap(command, workspace, grant, place, uid), grant, [workspace, home], proxy)
        finally:
            proxy.close()
            if desk is not None:
                desk.close()  # type: ignore[attr-defined]
    finally:
        remove_tree(place)


def _refuse_granted(read: Sequence[Path], hidden: Path) -> None:
    hidden = hidden.resolve()
    for path in read:
        real = path.resolve()
        if real.is_relative_to(hidden) or hidden.is_relative_to(real):
            raise InputError(
                f"config: read: {path}: holds, or lies in, the folder of results, which no coding agent may see; name"
                " the tool's own folder"
            )


def _hand_over(folder: Path, uid: int | None) -> None:
    if uid is None:
        return
    for where, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            os.chown(Path(where, name), uid, uid, follow_symlinks=False)


class _Plain:
    """Without a sandbox."""

    fault = None

    def __init__(self, command: Sequence[str], workspace: Path, grant: Grant, place: Path):
        own = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TMELT_RUN": str(place / "run")}
        self.environment = _base_environment(grant, str(place / "home"), own)
        self.command, self.folder = list(command), workspace
        if shutil.which(command[0], path=self.environment["PATH"]) is None:
            raise InputError(f"config: command: {command[0]}: not found; give the full path of the tool")


class _Bwrap:
    """Inside bubblewrap."""

    def __init__(self, command: Sequence[str], workspace: Path, grant: Grant, place: Path, uid: int | None):
        self.fault = os.pipe()
        self.folder = None
        ways = {str(port): f"127.0.0.1:{port}" for port in loopback_ports(grant.network)}
        proxy_port = next(port for port in range(PROXY_PORT, PROXY_PORT + 100) if str(port) not in ways)
        ways |= {str(proxy_port): ""}
        proxy = f"http://127.0.0.1:{proxy_port}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        own = {name: proxy for upper in names for name in (upper, upper.lower())}
        own |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", "TMELT_RUN": RUN}
        self.environment = _base_environment(grant, HOME, own)
        user = os.getuid() if uid is None else uid
        (place / "passwd").write_text(f"agent:x:{user}:{user}:agent:{HOME}:/bin/sh\n")
        (place / "group").write_text(f"agent:x:{user}:\n")
        (place / "hosts").write_text("127.0.0.1 localhost\n")
        about = {
            "command": list(command), "folder": WORKSPACE, "uid": uid, "ways": ways, "socket": f"{RUN}/proxy",
            "tasks": processes.count_tasks(user) + grant.processes + _TASK_SLACK, "file_mb": 2 * grant.disk_mb,
            "fault": self.fault[1],
        }  # fmt: skip
        words = [
            shutil.which("bwrap") or "bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
            "--unshare-cgroup-try", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--proc", "/proc",
            "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp", "--perms", "1777", "--tmpfs", "/dev/shm",
        ]  # fmt: skip
        if uid is None:
            words.append("--unshare-user")
        else:  # as root without a user namespace: what it needs to leave uid 0
            words += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        binds = [("--ro-bind-try", path, path) for path in (*SYSTEM, *_CERTIFICATES)]
        binds += [("--ro-bind", path, path) for path in [*interpreter_paths(), *(str(p.resolve()) for p in grant.read)]]
        binds += [("--ro-bind", str(place / name), f"/etc/{name}") for name in ("passwd", "group", "hosts")]
        binds += [("--ro-bind", str(place / "run"), RUN), ("--bind", str(place / "home"), HOME)]
        binds += [("--bind", str(workspace.resolve()), WORKSPACE)]
        made: set[str] = set()
        for flag, source, target in binds:
            for parent in map(str, reversed(Path(target).parents[:-1])):
                if parent not in made and uid is not None:  # bubblewrap's own are for root alone
                    words += ["--perms", "0755", "--dir", parent]
                    made.add(parent)
            words += [flag, source, target]
        self.command = [*words, "--", sys.executable, "-I", "-S", inside.__file__, json.dumps(about)]


def _base_environment(grant: Grant, home: str, own: Mapping[str, str]) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "USER": "agent", "LANG": "C.UTF-8", "TERM": "dumb",
        "TMPDIR": "/tmp", "CI": "1", "GIT_TERMINAL_PROMPT": "0", **own, **grant.environment,
    }  # fmt: skip


def _watch(start: _Plain | _Bwrap, grant: Grant, folders: Sequence[Path], proxy: Proxy) -> Ended:
    """Start a command and wait until it ends or a limit is passed."""
    begun = time.monotonic()
    process = subprocess.Popen(
        start.command,
        cwd=start.folder,
        env=start.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=() if start.fault is None else [start.fault[1]],
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    if start.fault is not None:
        os.close(start.fault[1])
    outputs = [_Output(stream) for stream in (process.stdout, process.stderr)]
    status, cpu_s = "", 0.0
    try:
        while process.poll() is None:
            below = [process.pid, *processes.descendants(process.pid)]
            cpu_s = max(cpu_s, processes.cpu_s(process.pid, below))
            if status := _passed_limit(time.monotonic() - begun, processes.usage(below), folders, grant):
                break
            time.sleep(_PAUSE_S)
    finally:
        _end(process)
    told = [output.text() for output in outputs]
    if start.fault is not None:
        with os.fdopen(start.fault[0]) as fault:
            words = fault.read()
        if words:
            raise InputError(
                f"config: command: {words} inside the sandbox; give the full path of the tool, and its folder in `read`"
            )
    code = process.returncode
    if not status and code == inside.NOT_STARTED:
        raise NotStarted(f"coder: the command was not started: {told[1].strip()[-300:]}")
    if not status and told[1].startswith("bwrap: "):
        raise NotStarted(f"coder: {told[1].strip().splitlines()[0]}")
    return Ended(
        status=status or ("ok" if code == 0 else "failed"),
        exit=None if status else code,
        wall_s=round(time.monotonic() - begun, 3),
        cpu_s=round(cpu_s, 3),
        stdout=told[0],
        stderr=told[1],
        refused=dict(proxy.refused),
    )


def _end_with_parent() -> None:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def _passed_limit(wall_s: float, used: processes.Usage, folders: Sequence[Path], grant: Grant) -> str:
    """The limit that was passed; empty if none was."""
    if wall_s > grant.wall_s:
        return "timeout"
    if used.memory_mb > grant.memory_mb:
        return "memory"
    if used.tasks > grant.processes:
        return "processes"
    return "disk" if used_mb(map(str, folders)) > grant.disk_mb else ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a command with everything that it started."""
    for pid in [*processes.descendants(process.pid), process.pid]:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Output:
    """Beginning and end of a stream, read in a thread."""

    def __init__(self, stream: object):
        self._stream = stream
        self._head, self._tail, self._cut = b"", b"", 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        half = LOG_BYTES // 2
        with suppress(OSError, ValueError):
            while piece := self._stream.read1(1 << 16):  # type: ignore[attr-defined]
                room = half - len(self._head)
                self._head += piece[:room] if room > 0 else b""
                self._tail += piece[room:] if room > 0 else piece
                if len(self._tail) > half:
                    self._cut += len(self._tail) - half
                    self._tail = self._tail[-half:]

    def text(self) -> str:
        """What came, once the command has ended."""
        self._thread.join(5)
        cut = f"\n[{self._cut} bytes left out]\n".encode() if self._cut else b""
        return (self._head + cut + self._tail).decode("utf-8", "replace")


def connectable(path: Path) -> socket.socket:
    """A listening local socket that the confined user may connect to."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    path.chmod(0o666)
    server.listen(8)
    return server
