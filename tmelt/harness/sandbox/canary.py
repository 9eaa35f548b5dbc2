"""Code that tries to get out of a sandbox, run in every new one before a candidate is: no backend is taken on its word.

Runs inside, confined. Prints what it could do that it must not, one line each, and returns how many.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

NO_CUDA = "CUDA does not work inside"
HOLE = "it could "


def run(spec: dict[str, Any]) -> int:
    """Try each way out.

    Args:
        spec: `secret` (a file), `outside` (a folder anybody may write to), `port` (a listening TCP port), `harness` (a
            process), `environment` (names that may be set), `confined` (whether anything holds it), `cuda` (whether a
            CUDA device must work).
    """
    attempts: dict[str, Callable[[], object]] = {
        "read a file that is not listed": lambda: Path(spec["secret"]).read_bytes(),
        "write outside its folders": lambda: (Path(spec["outside"]) / "x").write_bytes(b""),
        "reach the network": lambda: socket.create_connection(("127.0.0.1", spec["port"]), timeout=2),
        "signal the harness": lambda: _signal(spec["harness"]),
        "signal its keeper": lambda: os.kill(os.getppid(), 0),
        "see foreign variables": lambda: _foreign_variables(spec["environment"]),
    }
    holes = 0
    for what, attempt in attempts.items() if spec["confined"] else ():
        try:
            attempt()
        except OSError:
            continue
        print(f"{HOLE}{what}")
        holes += 1
    if spec["cuda"]:
        holes += not _cuda_works()
    (Path.cwd() / "x").write_bytes(b"what is allowed works")
    return holes


def _signal(pid: int) -> None:
    if pid == os.getpid():  # in a PID namespace of its own, where numbers start again
        raise PermissionError
    os.kill(pid, 0)


def _foreign_variables(known: list[str]) -> None:
    # torch sets the last one when it is imported.
    if set(os.environ) <= {*known, "HOME", "TMPDIR", "PWD", "LC_CTYPE", "TORCHINDUCTOR_CACHE_DIR"}:
        raise PermissionError


def _cuda_works() -> bool:
    import torch

    try:
        return float(torch.ones(8, device="cuda").sum()) == 8.0
    except (RuntimeError, AssertionError) as error:  # the latter from a torch that was built without CUDA
        print(f"{NO_CUDA}: {error}")
        return False
