"""What to say when a disk is full: which one, as far as that is known, and what to do."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tmelt.errors import InfrastructureError

LEAST_FREE_MB = 16  # of the folder of temporary files, in which sandboxes work


def full_temporary() -> str | None:
    """A line if the folder of temporary files has no room; None if it has."""
    try:
        folder = tempfile.gettempdir()
        disk = os.statvfs(folder)
    except OSError:  # none of the usual folders can be written to
        return "no folder for temporary files can be written to: set TMPDIR to one on a disk with room"
    free = disk.f_bavail * disk.f_frsize
    if free >= LEAST_FREE_MB << 20:
        return None
    return f"{folder} has {free // 1024} kB free: make room there, or set TMPDIR to a folder on a disk with more"


def no_space(error: OSError) -> str | None:
    """A line for an error that a full disk, or a spent quota, has caused; None for any other."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{os.strerror(error.errno)}; {full_temporary() or 'make room and run again'}"


@contextmanager
def machine_to_blame() -> Iterator[None]:
    """Raise what a full disk causes within the block as a failure of the machine.

    Raises:
        InfrastructureError: a disk is full.
    """
    try:
        yield
    except OSError as error:
        if (said := no_space(error)) is None:
            raise
        raise InfrastructureError(said) from None
