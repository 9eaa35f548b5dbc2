"""What went wrong in a run: the last words of the jobs that failed in it, from their own logs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

SHOWN = 20


def failed_logs(folders: Iterable[Path], since: float) -> Iterator[tuple[Path, str]]:
    """Logs written to after `since` (seconds since 1970) that end with an error, and their last lines.

    A job that is tried again begins its log anew, so what was mended by that does not show.
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
    lines = [f"  {log}: {last}" for log, last in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more")
    return "\n".join(["What failed, in its own words:", *lines]) if found else ""
