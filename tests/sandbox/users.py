"""Running commands as an ordinary user, where the tests run as root."""

import functools
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NO_PYTHON = "no Python that {} can run with this code: put the checkout where everybody may read, not in root's home"
NOBODY = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]


def users() -> list[str]:
    """Whose view can be had here."""
    return ["root", "nobody"] if os.geteuid() == 0 else ["user"]


@functools.cache
def python_for(user: str) -> tuple[str, ...] | None:
    """The start of a command that runs Python with the sandbox's modules as `user`; None where there is none."""
    if user != "nobody":
        return (sys.executable,)
    # setpriv finds a program with root's eyes; the user must find it again.
    check = (
        f"import os, sys; sys.path.append({str(ROOT)!r}); import tmelt.harness.sandbox; "
        "sys.exit(not os.access(sys.executable, os.X_OK))"
    )
    # The interpreter of the tests may lie in root's home.
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            done = subprocess.run([*NOBODY, python, "-c", check], capture_output=True, cwd="/")
        except FileNotFoundError:
            return None
        if done.returncode == 0:
            return (*NOBODY, python)
    return None
