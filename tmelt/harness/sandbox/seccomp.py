"""seccomp: a filter over system calls, for what neither namespaces nor Landlock cover.

The filter is a program for the kernel's BPF machine (https://docs.kernel.org/userspace-api/seccomp_filter.html): it
sees the number and the plain arguments of a call, and allows it, refuses it with an error number, or ends the process.
What it does not name it allows: file access is Landlock's and the mount list's business.
"""

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct

from tmelt.harness.sandbox import kernel, syscalls
from tmelt.harness.sandbox.syscalls import Table, numbers

_LOAD, _AND = 0x20, 0x54
_IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT = 0x15, 0x35, 0x45
_RETURN = 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000

_OFFSET_NUMBER, _OFFSET_ARCHITECTURE, _OFFSET_ARGUMENTS = 0, 4, 16
_ARCHITECTURE = 0xC000003E if kernel.X86 else 0xC00000B7
_X32_BIT = 0x40000000  # a second numbering of the same calls on x86_64
_CLONE_NEW_NAMESPACE = 0x7E020080  # every CLONE_NEW* flag
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # type into another process's terminal
# Commands of fcntl. Taking a lock is pretended, as flock is; asking for others' locks, leases and reports of who uses
# a folder are refused.
_TAKE_LOCK = (fcntl.F_SETLK, fcntl.F_SETLKW, fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW)
_SEE_OTHERS = (fcntl.F_GETLK, fcntl.F_OFD_GETLK, fcntl.F_SETLEASE, fcntl.F_GETLEASE, fcntl.F_NOTIFY)
_MODE_FILTER = 2


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One BPF instruction; a jump skips `if_true` or `if_false` instructions."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(number: int) -> bytes:
    """Make the call fail with this error number; 0 pretends success."""
    return _step(_RETURN, _ERRNO | number)


def _argument(position: int) -> bytes:
    """Load the low half of an argument."""
    return _step(_LOAD, _OFFSET_ARGUMENTS + 8 * position)


_PERMIT = _step(_RETURN, _ALLOW)


def _on(table: Table, *body: bytes) -> list[bytes]:
    """Run `body`, which must end in a return, for these calls."""
    return [step for number in numbers(table) for step in (_step(_IF_EQUAL, number, 0, len(body)), *body)]


def program(*, own_signals_only: bool, namespaces: bool, gpu: bool, landlock_abi: int) -> bytes:
    """The filter for the calling process, which must be the one that installs it.

    Args:
        own_signals_only: signal only this very process, where nothing else keeps signals inside.
        namespaces: mounts of its own, read-only where they should be.
        gpu: allow what CUDA needs.
        landlock_abi: 0 where Landlock is not in use; gaps of the versions before 6 are filled.
    """
    myself = os.getpid()
    only_myself = [_argument(0), _step(_IF_EQUAL, myself, 1), _refuse(errno.EPERM), _PERMIT]
    steps = [
        _step(_LOAD, _OFFSET_ARCHITECTURE),
        _step(_IF_EQUAL, _ARCHITECTURE, 1),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _OFFSET_NUMBER),
    ]
    if kernel.X86:
        steps += [_step(_IF_AT_LEAST, _X32_BIT, 0, 1), _refuse(errno.ENOSYS)]
    steps += _on(syscalls.FORBIDDEN, _refuse(errno.EPERM))
    steps += _on(syscalls.CHANNELS, _refuse(errno.EACCES))
    steps += _on(syscalls.SOCKET, *(_lonely_socket() if gpu else ()), _refuse(errno.EACCES))
    steps += _on(syscalls.PRETENDED, _refuse(0))
    steps += _on(syscalls.CLONE3, _refuse(errno.ENOSYS))
    steps += _on(
        syscalls.CLONE, _argument(0), _step(_IF_ANY_BIT, _CLONE_NEW_NAMESPACE, 0, 1), _refuse(errno.EPERM), _PERMIT
    )
    steps += _on(
        syscalls.SIGNAL_ACTION,
        _argument(0),
        _step(_IF_EQUAL, signal.SIGCHLD, 0, 1),
        _refuse(errno.EPERM),
        _PERMIT,
    )
    steps += _on(
        syscalls.IOCTL,
        _argument(1),
        _step(_IF_EQUAL, _TIOCSTI, 1),
        _step(_IF_EQUAL, _TIOCLINUX, 0, 1),
        _refuse(errno.EPERM),
        _PERMIT,
    )
    steps += _on(
        syscalls.FILE_CONTROL,
        _argument(1),
        *(part for command in _TAKE_LOCK for part in (_step(_IF_EQUAL, command, 0, 1), _refuse(0))),
        *(part for command in _SEE_OTHERS for part in (_step(_IF_EQUAL, command, 0, 1), _refuse(errno.EACCES))),
        _PERMIT,
    )
    # 0 is the process itself as well
    steps += _on(
        syscalls.RESOURCE_LIMITS,
        _argument(0),
        _step(_IF_EQUAL, 0, 2),
        _step(_IF_EQUAL, myself, 1),
        _refuse(errno.EPERM),
        _PERMIT,
    )
    if not namespaces:
        steps += _on(syscalls.TIMES, _refuse(errno.EPERM))
    if not gpu:
        steps += _on(syscalls.HIDDEN_MEMORY, _refuse(errno.EPERM))
    if own_signals_only:
        steps += _on(syscalls.SIGNALS, *only_myself)
    if 0 < landlock_abi < 3:
        steps += _refuse_truncation()
    return b"".join([*steps, _PERMIT])


def _lonely_socket() -> list[bytes]:
    """Permit a local socket of packets, which CUDA wants to listen on when it starts; the rest is up to the next step.

    No process is reached through it: `connect` and `accept` are refused, and unconnected it carries nothing.
    """
    return [
        _argument(0),
        _step(_IF_EQUAL, socket.AF_UNIX, 0, 4),
        _argument(1),
        _step(_AND, 0xF),  # without flags
        _step(_IF_EQUAL, socket.SOCK_SEQPACKET, 0, 1),
        _PERMIT,
    ]


def _refuse_truncation() -> list[bytes]:
    """Landlock before version 3 lets O_TRUNC empty a file that may only be read."""
    steps = _on(syscalls.TRUNCATE, _refuse(errno.EACCES)) + _on(syscalls.OPENAT2, _refuse(errno.ENOSYS))
    for table, position in ((syscalls.OPEN, 1), (syscalls.OPENAT, 2)):
        steps += _on(
            table,
            _argument(position),
            _step(_IF_ANY_BIT, os.O_TRUNC, 0, 3),
            _step(_AND, os.O_ACCMODE),
            _step(_IF_EQUAL, os.O_RDONLY, 0, 1),
            _refuse(errno.EPERM),
            _PERMIT,
        )
    return steps


def install(filter_program: bytes) -> None:
    """Put the filter on this thread and its descendants; no_new_privs must be set.

    Raises:
        OSError: the kernel refused.
    """
    text = ctypes.create_string_buffer(filter_program, len(filter_program))
    header = struct.pack("HxxxxxxQ", len(filter_program) // 8, ctypes.addressof(text))
    kernel.prctl(kernel.PR_SET_SECCOMP, _MODE_FILTER, header)
