"""What to say when a run has failed: the last words of its jobs, from their own logs; or that the disk is full."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tmelt.text.safe import one_line

SHOWN = 20
FULL_KB = 256
LONGEST = 2000


def failed_logs(folders: Iterable[Path], since: float) -> Iterator[tuple[Path, str]]:
    """Logs written to after `since` (seconds since 1970) that end with an error, and their last lines.

    A job that is tried again begins its log anew, so what was fixed by that does not show.
    """
    for folder in folders:
        for log in sorted(folder.rglob("*.log")):
            if log.stat().st_mtime >= since and (words := log.read_text(encoding="utf-8", errors="replace").strip()):
                last = words.splitlines()[-1]
                if last.startswith("error:") or "Traceback (most recent call last)" in words:
                    yield log, last


def describe_failures(folders: Iterable[Path], since: float) -> str:
    """One line for each, for the end of a run's output; empty without any."""
    found = list(failed_logs(folders, since))
    lines = [f"  {log}: {one_line(last, LONGEST)}" for log, last in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more")
    return "\n".join(["What failed, in its own words:", *lines]) if found else ""


def describe_full_disk(folder: Path) -> str:
    """A line where the disk of `folder` is full: then the jobs' own logs may lack the words that say so."""
    if not folder.exists():
        return ""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize // 1024
    if free >= FULL_KB and not (disk.f_files and disk.f_favail == 0):  # some file systems count no inodes
        return ""
    return f"{folder}: No space left on its disk ({free} kB free): make room and run again; what is finished stays"
