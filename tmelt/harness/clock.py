"""The clock of a run's budget: CPU time on a CPU, wall-clock time on a GPU.

On a CPU a run is granted seconds of CPU time on each of its threads, so that other work on the machine does not change
how far a candidate gets. Wall-clock time is the backstop, for a script that sleeps.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tmelt.harness.sandbox.phase import Outcome

START_S = {"cpu": 2.0, "cuda": 30.0}  # before a script runs; CUDA starts, and the residues move to the GPU
NEARLY_OVER = 0.1  # a script that is told of a smaller share of its time than this has reason to stop early
NEARLY_OVER_NOTE = "nearly_over"  # file by which the task notes that it told the script so
USED_UP = 0.95  # share of the granted seconds from which on a run counts as cut, whatever the script says
_GRACE = 1.02  # the script is told its seconds; the kill comes later, so that a careful script can finish
_MEASUREMENT_S, _MEASUREMENT_SHARE = 1.0, 1.1  # what the watchdog's looks and the kernel's ticks may leave open


@dataclass(frozen=True)
class Clock:
    """The clock of the runs of one study.

    Attributes:
        device: cpu or cuda.
        threads: granted to a run.
        wall_factor: on a CPU a phase ends after so many times its seconds of wall-clock time.
    """

    device: str
    threads: int
    wall_factor: float

    def limits(self, seconds: float) -> dict[str, float | None]:
        """The time limits of a phase (fields of tmelt.harness.sandbox.Limits), a little above what the script is told.

        They include what a phase needs before the script's own time begins.
        """
        most = _GRACE * seconds + START_S[self.device]
        if self.device == "cuda":
            return {"wall_s": most, "cpu_s": None}
        return {"wall_s": self.wall_factor * most, "cpu_s": self.threads * most}

    def used(self, outcome: "Outcome") -> float:
        """Seconds that a phase took."""
        return outcome.wall_s if self.device == "cuda" else outcome.cpu_s / self.threads

    def is_overdrawn(self, outcome: "Outcome", seconds: float) -> bool:
        """Whether a phase used more CPU time than its cores have, or than any watchdog would have let it use."""
        if self.device == "cuda":
            return False
        limits = self.limits(seconds)
        most = min(self.threads * outcome.wall_s, limits["cpu_s"])
        return outcome.cpu_s > _MEASUREMENT_SHARE * most + _MEASUREMENT_S

    def ended_by_wall(self, outcome: "Outcome", seconds: float) -> bool:
        """Whether the backstop ended a phase that had time left by the budget's clock."""
        return self.device != "cuda" and outcome.status == "timeout" and self.used(outcome) < seconds


def now_inside(device: str, threads: int) -> Callable[[], float]:
    """The same clock as the process sees it that runs a script; it counts from an arbitrary moment."""
    if device == "cuda":
        return time.monotonic

    def cpu_seconds() -> float:
        times = os.times()
        return (time.process_time() + times.children_user + times.children_system) / threads

    return cpu_seconds
