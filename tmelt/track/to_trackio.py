"""Trials to Trackio: a local SQLite database, or where its own environment variables send them."""

from collections.abc import Mapping
from typing import Any

import trackio


class ToTrackio:
    """A project of Trackio with the study's name; a run goes on where an earlier one ended."""

    def __init__(self, study: str):
        self._study = study
        self._runs: dict[str, Any] = {}

    def send(self, search: str, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one trial."""
        if search not in self._runs:
            self._runs[search] = trackio.init(
                project=self._study, name=search, resume="allow", auto_log_gpu=False, auto_log_cpu=False
            )
        self._runs[search].log(dict(metrics), step=step)

    def close(self) -> None:
        """Finish all runs."""
        for run in self._runs.values():
            run.finish()
