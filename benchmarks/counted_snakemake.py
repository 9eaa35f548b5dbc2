"""Snakemake with its calls to the file system counted, and each of them delayed if so asked.

    COUNTED=calls.json COUNTED_DELAY_MS=5 python benchmarks/counted_snakemake.py --profile profiles/default …

Counted are the calls of this process, not those of its jobs. On a cluster's file system a server answers each of them.
"""

import atexit
import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

METADATA = (
    *("stat", "lstat", "access", "scandir", "listdir", "mkdir", "rmdir", "chmod", "utime", "open", "readlink"),
    *("remove", "unlink", "rename", "replace", "symlink", "link", "truncate", "statvfs"),
)
MARK = "STUB_OF="  # in the command line of each stand-in


class Counter:
    """How many calls there were, and where this process stood at the start of each job."""

    def __init__(self, delay_s: float):
        self.delay_s = delay_s
        self.calls = 0
        self.by_name: dict[str, int] = {}
        self.starts: list[tuple[str, int, float, float]] = []

    def count(self, name: str) -> None:
        """Note a call, and take as long as a distant file system would."""
        self.calls += 1
        self.by_name[name] = self.by_name.get(name, 0) + 1
        if self.delay_s:
            time.sleep(self.delay_s)

    def mark(self, rule: str) -> None:
        """Note where things stand: the rule that begins, calls, CPU seconds of this process, wall-clock seconds."""
        self.starts.append((rule, self.calls, time.process_time(), time.monotonic()))

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted."""

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            self.count(function.__name__)
            return function(*arguments, **options)

        return call

    def watch(self) -> None:
        """Count from here on."""
        for name in METADATA:
            setattr(os, name, self.counted(getattr(os, name)))

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open" and isinstance(arguments[0], str) and not arguments[0].endswith((".py", ".pyc")):
                self.count("open()")
            elif event == "subprocess.Popen" and MARK in (said := str(arguments[1])):
                self.mark(said.partition(MARK)[2].partition(";")[0])

        sys.addaudithook(audit)

    def write(self, path: Path) -> None:
        """Leave what was counted."""
        self.mark("end")
        path.write_text(json.dumps({"starts": self.starts, "by_name": self.by_name}), encoding="utf-8")


if __name__ == "__main__":
    counter = Counter(float(os.environ.get("COUNTED_DELAY_MS", "0")) / 1000)
    atexit.register(counter.write, Path(os.environ["COUNTED"]).absolute())
    from snakemake.cli import main

    counter.watch()
    main()
