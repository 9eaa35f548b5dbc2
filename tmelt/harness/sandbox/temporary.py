"""A sandbox's own folder under the system's temporary one, and those that killed jobs have left there.

A process that is killed together with its supervisor (a node goes down, a job is out of memory) clears nothing away,
and checkpoints would fill a node's disk. So each folder is locked as long as its harness lives, and the next sandbox of
the same user removes those that no process locks.
"""

import fcntl
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tmelt.harness.sandbox.disk import remove_tree

_PREFIX = "tmelt-sandbox-"
_AGE_S = 60.0  # a younger one may not have been locked yet


class TemporaryFolder:
    """Made and locked now; `remove` deletes it."""

    def __init__(self):
        _remove_abandoned(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        self._lock = _locked(self.path)

    def remove(self) -> None:
        """Delete it with all that is in it."""
        remove_tree(self.path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _remove_abandoned(place: Path) -> None:
    """Delete what killed sandboxes of this user have left in `place`."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError, subprocess.CalledProcessError):  # another one may be clearing away the same
            about = folder.lstat()
            if about.st_uid != os.geteuid() or time.time() - about.st_mtime < _AGE_S:
                continue
            lock = _locked(folder)
            if lock is not None:
                remove_tree(folder)
                os.close(lock)


def _locked(folder: Path) -> int | None:
    """A descriptor that keeps the folder locked; None where another process's does, or where there are no locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
