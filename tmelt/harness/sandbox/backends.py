"""How each backend starts a worker: the command line, and what lies around the worker."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tmelt.harness.sandbox import landlock
from tmelt.harness.sandbox.confine import SYSTEM, gpu_nodes
from tmelt.harness.sandbox.errors import Refusal
from tmelt.harness.sandbox.packages import outside_packages, search_path
from tmelt.harness.sandbox.phase import WORKER_KILLED, Settings

# Strongest first; `none` is taken only when the config names it.
ORDER = ("bwrap", "apptainer", "landlock")
WITH_NAMESPACES = ("bwrap", "apptainer")

# A used name would do as well; the number only has to belong to no user.
UNUSED_UID = 64321
PACKAGE = Path(__file__).resolve().parents[__package__.count(".")]  # the folder of the outermost package
_USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")
# How the kernel, the C library and Python tell of too little memory, too many processes, files or namespaces.
_SHORTAGE = (
    *map(os.strerror, (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT)),
    "MemoryError",
    "memory allocation",
    "out of memory",
)
# Without these an interpreter or a driver may not start; nothing else of the harness' environment gets in.
_PASSED_ON = ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES")
_BOOTSTRAP = "import sys; sys.path += {path!r}; from {module} import main; main({arguments})"


def missing(backend: str, image: str | None) -> str | None:
    """Why a backend cannot even be tried on this host; None when it can."""
    if backend == "bwrap" and not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    if backend == "apptainer" and not shutil.which("apptainer"):
        return "Apptainer is not installed"
    if backend == "apptainer" and not image:
        return "no image is configured"
    if backend == "landlock" and not landlock.kernel_abi():
        return "this kernel has no Landlock"
    return None


def is_shortage(words: str) -> bool:
    """Whether an error tells of a machine that lacks something just now, and nothing about a backend."""
    if "namespace" in words and _USER_NAMESPACES.exists() and _USER_NAMESPACES.read_text().strip() == "0":
        return False  # switched off, which the kernel calls "No space left on device"
    return any(sign.lower() in words.lower() for sign in _SHORTAGE)


def child_uid(backend: str) -> int | None:
    """The identity for candidate code: an unused one where we are root, else our own.

    Root of a user namespace (`unshare -Ur`, rootless containers) is an ordinary user outside, and there may be no
    other identity to take on.
    """
    return UNUSED_UID if os.geteuid() == 0 and backend in ("bwrap", "landlock") and _can_become(UNUSED_UID) else None


def _can_become(number: int) -> bool:
    """Whether this user namespace has user and group `number`, and lets processes leave their groups."""
    try:
        groups = Path("/proc/self/setgroups").read_text().strip()
    except FileNotFoundError:  # a kernel without user namespaces
        return True
    maps = [Path(f"/proc/self/{kind}_map").read_text().splitlines() for kind in ("uid", "gid")]
    mapped = [any(first <= number < first + count for first, _, count in map(_numbers, lines)) for lines in maps]
    return groups == "allow" and all(mapped)


def _numbers(line: str) -> tuple[int, int, int]:
    first, outside, count = map(int, line.split())
    return first, outside, count


def interpreter_paths() -> list[str]:
    """What the worker needs to read of this Python and of this package."""
    # With and without links on the way: the interpreter finds its library through the path that it was started by.
    prefixes = (sys.prefix, sys.base_prefix)
    places = {*map(os.path.realpath, prefixes), *map(os.path.abspath, prefixes)}
    return [*sorted(place for place in places if place not in ("/", "/usr")), *outside_packages(), str(PACKAGE)]


def refuse_exposed(*hidden: Path) -> None:
    """Refuse to start where what every phase may read, the system's files and Python's, holds what none may see.

    Args:
        hidden: files or folders, and this user's home if Python was installed right into it.

    Raises:
        Refusal: the path and the place.
    """
    python = [os.path.realpath(place) for place in interpreter_paths()]
    home = Path(os.path.realpath(os.path.expanduser("~")))  # noqa: PTH111 - without an exception where there is none
    for path, places in [(home, python), *((path, [*map(os.path.realpath, SYSTEM), *python]) for path in hidden)]:
        for place in places:
            if Path(os.path.realpath(path)).is_relative_to(place):
                raise Refusal(
                    f"sandbox: {path} lies in {place}, which candidates may read (the system's files and Python's);"
                    " move the study, or use a Python environment in a folder of its own"
                )


def clean_environment(threads: int) -> dict[str, str]:
    """The worker's whole environment."""
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",  # same seed, same script: and same order of sets
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",  # it starts its threads at import, and the worker must be able to fork
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        **({"PYTHONPATH": os.pathsep.join(places)} if (places := search_path()) else {}),
    }


def supervisor_environment() -> dict[str, str]:
    """What the supervisor needs to start and to find the backends' programs; no secret."""
    return {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}


def python_command(python: str, flags: list[str], module: str, python_path: Iterable[str], *arguments: object) -> list:
    """A command that calls `module.main(*arguments)` of this package, wherever the package is installed."""
    code = _BOOTSTRAP.format(
        path=[str(PACKAGE.parent), *python_path],
        module=f"{__package__}.{module}",
        arguments=", ".join(map(repr, arguments)),
    )
    return [python, *flags, "-c", code]


def worker_command(settings: Settings, read: Iterable[str], write: Iterable[str]) -> list[str]:
    """The command that starts a worker which can see `read` and change `write`.

    Raises:
        RuntimeError: bubblewrap was killed while it was asked what it can do.
    """
    python = python_command(
        settings.python, ["-s", "-P"], "worker", settings.python_path, list(settings.preload), settings.entry
    )
    if settings.backend == "bwrap":
        return [*_bwrap(settings, [*settings.system, *read], write), *python]
    if settings.backend == "apptainer":
        return [*_apptainer(settings, [*settings.system, *read], write), *python]
    return python


def _bwrap(settings: Settings, read: Iterable[str], write: Iterable[str]) -> list[str]:
    """Return bubblewrap's command: no network, no other processes, an allow-list of mounts.

    The worker is its init process, so that nothing can signal it and everything ends with it.
    """
    program = shutil.which("bwrap") or "bwrap"
    command = (
        f"{program} --unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup-try --as-pid-1 "
        "--die-with-parent --new-session --cap-drop ALL --proc /proc --dev /dev"
    ).split()
    if settings.uid is None:
        command += ["--unshare-user"]
    else:  # as root without a user namespace: the worker keeps what it needs to leave uid 0 in its children
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    answer = subprocess.run([program, "--help"], capture_output=True, text=True)
    if answer.returncode < 0:  # half an answer would make a sandbox with fewer limits
        raise RuntimeError(WORKER_KILLED)
    knows = answer.stdout
    for folder in ("/dev/shm", "/tmp"):
        if "--size" in knows:  # since 0.5
            command += ["--size", str(64 << 20), "--perms", "0755"]
        command += ["--tmpfs", folder]
    binds = [("--ro-bind-try", path) for path in SYSTEM]
    if settings.gpu:  # CUDA reads all over /sys
        binds += [("--ro-bind", "/sys"), *(("--dev-bind", node) for node in gpu_nodes())]
    binds += [("--ro-bind", path) for path in read]
    binds += [("--bind", path) for path in write]
    made = set()
    for flag, path in binds:
        for parent in map(str, reversed(Path(path).parents[:-1])):
            if parent not in made and "--perms" in knows and settings.uid is not None:
                command += ["--perms", "0755", "--dir", parent]  # bubblewrap's own default is 0700, root's
                made.add(parent)
        command += [flag, path, path]
    return [*command, "--remount-ro", "/dev", "--"]  # the last step: the nodes of GPUs were made in it


def _apptainer(settings: Settings, read: Iterable[str], write: Iterable[str]) -> list[str]:
    """Apptainer: the same, with the system's files from an image."""
    program = shutil.which("apptainer") or "apptainer"
    command = f"{program} exec --containall --cleanenv --no-privs --net --network none".split()
    if settings.gpu:
        command.append("--nv")
    for path in read:
        command += ["--bind", f"{path}:{path}:ro"]
    for path in write:
        command += ["--bind", f"{path}:{path}:rw"]
    command += [word for name, value in settings.environment.items() for word in ("--env", f"{name}={value}")]
    return [*command, settings.image or ""]
