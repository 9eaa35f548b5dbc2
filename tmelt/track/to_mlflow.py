"""Trials to MLflow: the server of MLFLOW_TRACKING_URI, or `results/{study}/mlflow.db`."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

# It reports its use to its makers otherwise; a caller who has set the variable is left alone. Read at import.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric

_TAG = "tmelt.search"


class ToMlflow:
    """An experiment of MLflow with the study's name; a run goes on where an earlier one ended."""

    def __init__(self, study: str, folder: Path):
        local = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", local))
        known = self._client.get_experiment_by_name(study)
        self._experiment = known.experiment_id if known else self._client.create_experiment(study)
        self._runs: dict[str, str] = {}

    def send(self, search: str, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one trial."""
        if search not in self._runs:
            self._runs[search] = self._run(search)
        now = round(1000 * time.time())
        self._client.log_batch(
            self._runs[search], metrics=[Metric(name, value, now, step) for name, value in metrics.items()]
        )

    def close(self) -> None:
        """End all runs."""
        for run in self._runs.values():
            self._client.set_terminated(run)

    def _run(self, search: str) -> str:
        found = self._client.search_runs([self._experiment], f"tags.`{_TAG}` = '{search}'", max_results=1)
        if found:
            self._client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
        run = self._client.create_run(self._experiment, run_name=search, tags={_TAG: search})
        return str(run.info.run_id)
