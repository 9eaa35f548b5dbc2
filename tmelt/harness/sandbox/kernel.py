"""The few system calls that Python's standard library lacks."""

import ctypes
import os
import platform

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

CAP_DAC_READ_SEARCH = 2


def prctl(option: int, argument: int, second: object = 0) -> None:
    """Call the kernel's prctl.

    Raises:
        OSError: the kernel refused.
    """
    if LIBC.prctl(option, ctypes.c_ulong(argument), second, 0, 0):
        raise kernel_error(f"prctl {option}")


def syscall(number: int, *arguments: object) -> int:
    """A raw system call; -1 becomes an OSError.

    Raises:
        OSError: the kernel refused.
    """
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise kernel_error(f"system call {number}")
    return result


def kernel_error(what: str) -> OSError:
    """The error of the last call into the C library."""
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilitySet(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def keep_capabilities(*numbers: int) -> None:
    """Drop every capability of this thread but these, which are below 32.

    Raises:
        OSError: the kernel refused.
    """
    header = _CapabilityHeader(0x20080522, 0)  # version 3: two 32-bit halves
    kept = sum(1 << number for number in numbers)
    halves = (_CapabilitySet * 2)(_CapabilitySet(kept, kept, 0), _CapabilitySet(0, 0, 0))
    if LIBC.capset(ctypes.byref(header), halves):
        raise kernel_error("capset")
