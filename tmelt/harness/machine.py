"""Tell a fault of the machine from a fault of a candidate, and say what to do about it."""

import sys

from tmelt.storage.full_disk import full_temporary
from tmelt.text.safe import one_line


def blame(status: str, reason: str | None, log: str) -> str:
    """What a run ended with: its status, and the last line of its log.

    Args:
        status, reason: of the run (tmelt.storage.schema.RUN).
        log: what the script printed.
    """
    lines = log.strip().splitlines()
    return f"{status}{f' ({reason})' if reason else ''}" + (f": {one_line(lines[-1])}" if lines else "")


def remedy(status: str, log: str) -> str:
    """What to do where the reference script itself fails.

    Args:
        status: how it ended.
        log: what the script printed.
    """
    if said := full_temporary():
        return said
    if status in ("timeout", "oom", "disk"):
        return "design.budget is too small for it"
    if "ModuleNotFoundError" in log or "ImportError" in log or "PermissionError" in log or "cannot open shared" in log:
        return f"install its packages into {sys.prefix}, or into a site-packages folder on PYTHONPATH"
    return "see the log; scripts/show_sandbox.py tries the sandbox alone"
