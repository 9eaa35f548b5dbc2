"""Locked files by which jobs of one user on one machine share out its cores and GPUs.

The system drops a lock when its holder ends, however it ends.
"""

import fcntl
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def lock_folder(name: str) -> Path | None:
    """This user's folder of locks, on this machine; None where another user's file has its name."""
    folder = Path(tempfile.gettempdir()) / f"tmelt-{name}-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
        if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid():
            return folder
    return None


def lock_if_free(path: Path) -> int | None:
    """The descriptor that holds the file's lock until it is closed; None if another process holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
