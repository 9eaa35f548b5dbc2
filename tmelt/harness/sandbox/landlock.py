"""Landlock: the kernel's own allow-list of paths, which a process puts on itself and can never take off.

https://docs.kernel.org/userspace-api/landlock.html. What a kernel covers is its ABI version: 2 moves between folders,
3 truncation, 4 TCP, 5 ioctl on devices, 6 signals and abstract sockets. seccomp.py fills what an older one leaves open.
"""

import enum
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from tmelt.harness.sandbox import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_TCP = 0b11  # bind and connect
_SCOPE = 0b11  # abstract sockets and signals


class Access(enum.IntFlag):
    """Rights below a path, as the kernel numbers them."""

    EXECUTE = enum.auto()
    WRITE_FILE = enum.auto()
    READ_FILE = enum.auto()
    READ_DIR = enum.auto()
    REMOVE_DIR = enum.auto()
    REMOVE_FILE = enum.auto()
    MAKE_CHAR = enum.auto()
    MAKE_DIR = enum.auto()
    MAKE_REG = enum.auto()
    MAKE_SOCK = enum.auto()
    MAKE_FIFO = enum.auto()
    MAKE_BLOCK = enum.auto()
    MAKE_SYM = enum.auto()
    REFER = enum.auto()
    TRUNCATE = enum.auto()
    IOCTL_DEV = enum.auto()


ALL = ~Access(0)
READ = Access.EXECUTE | Access.READ_FILE | Access.READ_DIR
OWN = ALL & ~(Access.MAKE_CHAR | Access.MAKE_BLOCK | Access.MAKE_SOCK)
DEVICE = Access.READ_FILE | Access.WRITE_FILE
# The other rights mean something on folders only, and the kernel refuses them on a file.
_ON_FILES = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV


def kernel_abi() -> int:
    """The version that this kernel offers; 0 without Landlock."""
    return max(0, kernel.LIBC.syscall(_CREATE_RULESET, None, 0, 1))


def restrict(rules: Iterable[tuple[str, Access]], abi: int) -> None:
    """Allow this thread and its descendants `rules` and nothing else; paths that do not exist are skipped.

    Raises:
        OSError: the kernel refused.
    """
    handled = _filesystem_rights(abi)
    attributes = struct.pack("=QQQ", handled, _TCP if abi >= 4 else 0, _SCOPE if abi >= 6 else 0)
    attributes = attributes[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = kernel.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    for path, access in rules:
        if Path(path).exists():
            _allow(ruleset, path, access & handled)
    kernel.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _filesystem_rights(abi: int) -> Access:
    """Every right that this version knows."""
    return Access((1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1)


def _allow(ruleset: int, path: str, access: Access) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _ON_FILES
        kernel.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)
