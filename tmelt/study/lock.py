"""The lock of a study: a file in its folder that says which process runs it, and shows that this process is alive.

A run holds `run.lock` in results/{study} from its first look at the study's files to its end. The file is created by
`link`, which is atomic on network file systems as well, where `flock` may not hold. The holder sets the file's time
every `BEAT_S` seconds. A run that was killed leaves the file behind: on the same machine its process is looked up, by
its number and start; of a holder on another machine only the heartbeat is known.
"""

import atexit
import contextlib
import errno
import getpass
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from tmelt.errors import InputError
from tmelt.text.safe import one_line

NAME = "run.lock"
BEAT_S = 10.0
SILENT_S = 120.0  # without a heartbeat: then a holder on another machine counts as dead
_ATTEMPTS = 5
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    token: str  # drawn for each run
    study: str
    user: str
    host: str
    machine: str | None  # the boot of the kernel and the namespace of process numbers; None where they are unknown
    pid: int
    born: int | None  # the start of the process in ticks since the boot: numbers of processes are used again
    began: float  # seconds since 1970

    def __str__(self) -> str:
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.began))
        return one_line(f"process {self.pid} on {self.host}, user {self.user}, begun {began}")


@dataclass(frozen=True)
class Found:
    """A lock as it was found."""

    path: Path
    holder: Holder | None  # None: the file is not readable as a lock
    token: str
    silent_s: float  # seconds since its last heartbeat
    here: bool  # whether the holder is on this machine, so that its process could be looked up
    alive: bool

    @property
    def who(self) -> str:
        """The holder in words."""
        return str(self.holder) if self.holder else f"unknown: {self.path} is not readable"

    @property
    def how_dead(self) -> str:
        """Why the holder counts as dead."""
        return "was killed" if self.here else f"has given no sign of life for {self.silent_s / 60:.0f} min"


class Lock:
    """A lock that this process holds; a thread keeps its heartbeat until `release` or the end of the process."""

    def __init__(self, path: Path, holder: Holder, until: Path | None = None):
        self._path, self._token, self._until = path, holder.token, until
        self._over = threading.Event()
        self._release = threading.Lock()
        self._beating = threading.Thread(target=self._beat, name=f"heartbeat of {path}", daemon=True)
        self._beating.start()
        atexit.register(self.release)

    def release(self) -> None:
        """Remove the lock; a second call, or one in a fork of the holder, does nothing."""
        with self._release:
            if self._over.is_set() or not self._beating.is_alive():  # no thread survives a fork
                return
            self._over.set()
            with contextlib.suppress(OSError):
                if _token_of(self._path) == self._token:
                    self._path.unlink()

    def _beat(self) -> None:
        made = False
        while not self._over.wait(BEAT_S):
            if made:  # since a whole beat: Snakemake has noted the end of the job as well
                self.release()
                return
            made = self._until is not None and self._until.exists()
            try:
                if _token_of(self._path) != self._token:
                    self._stop_run()
                    return
                os.utime(self._path)
            except FileNotFoundError:
                self._stop_run()
                return
            except OSError:  # the file server is away: the next beat may reach it
                continue

    def _stop_run(self) -> None:
        """End this run as Ctrl-C would: another one may have begun, because this one was silent for too long."""
        if self._over.is_set():
            return
        print(f"error: {self._path}: lost to another run, or deleted; this run stops", file=sys.stderr, flush=True)
        handled = signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None)
        os.kill(os.getpid(), signal.SIGINT if handled else signal.SIGTERM)


def hold(folder: Path, study: str, until: Path | None = None) -> Lock:
    """Take the lock of `folder`; take it over from a holder that is dead, and say so.

    Args:
        folder: results/{study}, or a folder that studies share.
        study: its name, for other runs that find the lock.
        until: a file whose making is all that the lock is for: it is released some seconds after the file is there.

    Raises:
        InputError: another run holds it, and lives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, me = folder / NAME, _this_process(study)
    for _ in range(_ATTEMPTS):
        if _create(path, me):
            return Lock(path, me, until)
        found = find(folder, _clock_of(folder))
        if found is None:
            continue  # released just now
        if found.alive:
            raise InputError(_refusal(folder, found))
        if _take_over(found, me):
            print(f"{folder}: the last run ({found.who}) {found.how_dead}; going on from there", file=sys.stderr)
            return Lock(path, me, until)
    raise InputError(f"{folder}: several runs start at once; start again in a moment")


def hold_shared(folder: Path, study: str, until: Path) -> Lock | None:
    """The same for a folder that studies share, such as that of a data set: wait while another run makes `until`.

    Returns:
        The lock; None if `until` exists and no run is making it.
    """
    told = False
    while True:
        found = find(folder, _clock_of(folder)) if folder.exists() else None
        if found is None or not found.alive:
            if until.exists() and found is None:
                return None
            with contextlib.suppress(InputError):  # another run was first: wait for it
                return hold(folder, study, until)
        elif not told:
            other = found.holder.study if found.holder else "another run"
            print(f"{folder}: waiting for {one_line(other)}, which makes it ({found.who})", file=sys.stderr, flush=True)
            told = True
        time.sleep(1)


def find(folder: Path, now: float | None = None) -> Found | None:
    """Return the lock of `folder`, or None if no process holds it. Writes nothing.

    Args:
        folder: results/{study}.
        now: the time by the clock that sets the times of files there; by default this machine's.
    """
    path = folder / NAME
    try:
        with path.open("rb") as file:  # opening it asks a file server anew
            changed, text = os.fstat(file.fileno()).st_mtime, file.read(10_000)
    except FileNotFoundError:
        return None
    silent = max(0.0, (time.time() if now is None else now) - changed)
    holder = _parsed(text)
    here = holder is not None and holder.machine is not None and holder.machine == _machine()
    alive = _is_running(holder) if holder is not None and here else silent < SILENT_S
    return Found(path, holder, holder.token if holder else f"unreadable-{changed}", silent, here, alive)


def _refusal(folder: Path, found: Found) -> str:
    line = f"{folder}: a run of this study is going on ({found.who}); wait for its end, or stop it there"
    if found.here:
        return line
    return (
        f"{line}. Its last sign of life was {found.silent_s:.0f} s ago; after {SILENT_S:.0f} s it counts as dead, or"
        f" delete {found.path} if you know that it is"
    )


def _this_process(study: str) -> Holder:
    pid = os.getpid()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an identity without a name, as in a container
        user = str(os.getuid())
    return Holder(uuid.uuid4().hex, study, user, socket.gethostname(), _machine(), pid, _born(pid), time.time())


def _machine() -> str | None:
    """What processes have in common that know each other by their numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - the link's text is no path
    except OSError:
        return None


def _born(pid: int) -> int | None:
    """When a process began, in ticks since the boot; None if there is no such process, or none but its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _is_running(holder: Holder) -> bool:
    born = _born(holder.pid)
    if born is not None:
        return born == holder.born
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, which /proc may hide
        return True
    return False  # its remains


def _parsed(text: bytes) -> Holder | None:
    try:
        return Holder(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _token_of(path: Path) -> str | None:
    holder = _parsed(path.read_bytes())
    return holder.token if holder else None


def _clock_of(folder: Path) -> float:
    """The time by the clock that sets the times of files in `folder`: a file server's may differ from ours."""
    with tempfile.NamedTemporaryFile(prefix=f".{NAME}.", dir=folder) as probe:
        probe.write(b"x")
        probe.flush()
        return os.fstat(probe.fileno()).st_mtime


def _written(folder: Path, holder: Holder) -> Path:
    """A file of another name with the lock's text."""
    descriptor, name = tempfile.mkstemp(prefix=f".{NAME}.", dir=folder)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o644)
        json.dump(asdict(holder), file)
        file.flush()
        os.fsync(descriptor)
    return Path(name)


def _create(path: Path, holder: Holder) -> bool:
    """Create a lock; False if there is one."""
    fresh = _written(path.parent, holder)
    try:
        os.link(fresh, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            with path.open("x", encoding="utf-8") as file:
                json.dump(asdict(holder), file)
        except FileExistsError:
            return False
    finally:
        fresh.unlink()
    return True


def _take_over(found: Found, me: Holder) -> bool:
    """Replace a dead holder's lock; False if another run was first.

    Who replaces it is decided by a second lock, named after the dead holder: so no run replaces the lock of a run that
    has taken over meanwhile.
    """
    claim = found.path.with_name(f".{NAME}.{found.token}")
    if not _create(claim, me):
        with contextlib.suppress(FileNotFoundError):
            if _clock_of(claim.parent) - claim.stat().st_mtime > SILENT_S:  # killed in the midst of it
                claim.unlink()
        return False
    try:
        now = find(found.path.parent)
        if now is None or now.token != found.token:
            return False
        _written(found.path.parent, me).replace(found.path)
        return True
    finally:
        claim.unlink(missing_ok=True)
