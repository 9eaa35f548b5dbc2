"""Send scored trials to an experiment tracker while a study runs: `tmelt study my_study.yaml --feed trackio`.

A tracker is an optional package. One of its runs is one search, one of its steps one trial. Nothing that test labels
were needed for is sent, and a tracker that fails never stops a study.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from tmelt.errors import InputError


class Tracker(Protocol):
    """One tracker, opened for one study."""

    def send(self, search: str, step: int, metrics: Mapping[str, float]) -> None:
        """Send the metrics of one trial; `search` is strategy/t{trajectory}, `step` the iteration."""

    def close(self) -> None:
        """Send what is left, and end."""


def _trackio(study: str, folder: Path) -> Tracker:
    from tmelt.track.to_trackio import ToTrackio

    return ToTrackio(study)


def _mlflow(study: str, folder: Path) -> Tracker:
    from tmelt.track.to_mlflow import ToMlflow

    return ToMlflow(study, folder)


# What opens each tracker for a study and its folder; the name is that of the package and of the extra of tmelt.
TRACKERS: dict[str, Callable[[str, Path], Tracker]] = {"trackio": _trackio, "mlflow": _mlflow}


def check_tracker(name: str) -> None:
    """Check that a tracker is known and installed.

    Raises:
        InputError: it is not.
    """
    if name not in TRACKERS:
        raise InputError(f"--feed: no tracker {name!r}; expected one of {', '.join(TRACKERS)}")
    if find_spec(name) is None:
        raise InputError(f"--feed: the package {name} is not installed; pip install 'tmelt[{name}]'")
