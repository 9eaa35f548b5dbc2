"""What a child does to itself before candidate code runs in it; none of it can be undone.

The order matters: leaving uid 0 clears what prctl set, and after seccomp some of these calls are gone.
"""

import glob
import os
import resource
import stat
from pathlib import Path

from tmelt.harness.sandbox import kernel, landlock, seccomp
from tmelt.harness.sandbox.phase import Confinement

# What an interpreter and a numerical library look at, outside their own folders.
SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/lib32",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/.singularity.d/libs",  # where Apptainer puts the host's CUDA driver
)
_PROC = tuple(f"/proc/{name}" for name in ("cpuinfo", "meminfo", "stat", "version", "filesystems", "loadavg"))
_DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "random", "urandom"))
_OPEN_FILES = 4096
# Private writable memory of one process may exceed the resident limit by this before allocation itself fails.
# RLIMIT_AS would count address space, of which CUDA reserves terabytes.
_DATA_SLACK_MB = 2048


def gpu_nodes() -> list[str]:
    """Device files of this machine's GPUs, NVIDIA's and AMD's."""
    return sorted(path for pattern in ("nvidia*", "kfd", "dri") for path in glob.glob(f"/dev/{pattern}"))  # noqa: PTH207


def confine(rules: Confinement) -> None:
    """Give up everything that `rules` do not grant; the calling process must have one thread.

    Raises:
        OSError: the kernel refused a step; the caller must end this process.
    """
    if not rules.enabled:
        return
    _leave_root(rules)
    _limit_resources(rules)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    # Changing identity hides a process from its own user, and with it from the watchdog that measures its memory.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    if rules.landlock_abi:
        landlock.restrict(_landlock_rules(rules), rules.landlock_abi)
    seccomp.install(
        seccomp.program(
            own_signals_only=rules.landlock_abi < 6,
            namespaces=rules.namespaces,
            gpu=rules.gpu,
            landlock_abi=rules.landlock_abi,
        )
    )


def _leave_root(rules: Confinement) -> None:
    """Take on the unused uid, because uid 0 ignores RLIMIT_NPROC and file permissions."""
    if rules.uid is None:
        if os.geteuid() == 0:  # of a user namespace without another identity: an ordinary user but for capabilities
            kernel.keep_capabilities()
        return
    # Under Landlock alone the interpreter may lie in root's home, which others cannot enter. To search and read
    # past permissions is then kept; Landlock still allows the listed paths only, as it does for an ordinary user.
    keep_search = not rules.namespaces and any(not _others_can_reach(path) for path in [*rules.read, *rules.write])
    if keep_search:
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(rules.uid, rules.uid, rules.uid)
    os.setresuid(rules.uid, rules.uid, rules.uid)
    if keep_search:
        kernel.keep_capabilities(kernel.CAP_DAC_READ_SEARCH)


def _others_can_reach(path: str) -> bool:
    """Whether every folder above `path` lets any user through."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in Path(path).parents)


def _limit_resources(rules: Confinement) -> None:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_NPROC: rules.tasks,
        resource.RLIMIT_FSIZE: rules.file_mb << 20,
    }
    if not rules.gpu:
        limits[resource.RLIMIT_DATA] = rules.memory_mb + _DATA_SLACK_MB << 20
    for kind, value in limits.items():
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _landlock_rules(rules: Confinement) -> list[tuple[str, landlock.Access]]:
    allowed = [(path, landlock.READ) for path in (*SYSTEM, *_PROC, *rules.read)]
    allowed += [(path, landlock.OWN) for path in rules.write]
    allowed += [(path, landlock.DEVICE) for path in _DEVICES]
    if rules.gpu:
        # cuInit reads the driver's files below /proc and writes /proc/<pid>/task/<tid>/comm. Other processes' memory
        # and environment stay closed: Landlock also forbids tracing them.
        allowed += [(path, landlock.OWN) for path in gpu_nodes()]
        allowed += [("/sys", landlock.READ), ("/proc", landlock.DEVICE | landlock.Access.READ_DIR)]
    return allowed
