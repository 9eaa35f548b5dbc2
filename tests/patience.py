"""Time limits of waiting tests that a busy machine does not use up.

A limit in seconds of the clock fails on a machine where other work takes the cores. `Patience` counts seconds in which
this machine had a core to spare for us: with twice as many runnable processes as cores, a second counts half.
"""

import os
import subprocess
import time

CORES = len(os.sched_getaffinity(0))


class Patience:
    """A limit in seconds of a machine that has nothing else to do."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._last = time.monotonic()

    def is_over(self) -> bool:
        """Whether it is used up. To be asked at least every few seconds: each time, the load since then is guessed."""
        now = time.monotonic()
        self._left -= (now - self._last) / max(1.0, os.getloadavg()[0] / CORES)
        self._last = now
        return self._left < 0


def wait_for(process: subprocess.Popen, seconds: float) -> int:
    """Wait for a process and return its status.

    Raises:
        subprocess.TimeoutExpired: it still runs when the patience is over.
    """
    patience = Patience(seconds)
    while True:
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            if patience.is_over():
                raise subprocess.TimeoutExpired(process.args, seconds) from None
