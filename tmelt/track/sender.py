"""Send trials to a tracker from a thread of its own, each once; a fault is said once and ends the sending."""

import json
import math
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.front.feed import Arrival
from tmelt.storage.files import read_json, write_json
from tmelt.study.status import STOPPED
from tmelt.text.safe import one_line
from tmelt.track import TRACKERS, Tracker

_WAIT_S = 60.0  # for the last trials at the end
_PLAIN = ("val_mae", "fidelity", "cpu_s", "device_s", "cost_usd")


class Sender:
    """Sends one study's trials to one tracker.

    `results/{study}/logs/feed_{name}.json` says which trial of each search was sent last, so that a study that goes on
    sends what is new. Delete it to send all trials again.

    Args:
        name: a key of TRACKERS.
        study: the study's name.
        folder: results/{study}.
        say: shows a line.
    """

    def __init__(self, name: str, study: str, folder: Path, say: Callable[[str], object]):
        self._name, self._study, self._folder, self._say = name, study, folder, say
        self._record = folder / "logs" / f"feed_{name}.json"
        self._waiting: queue.Queue[tuple[str, int, dict[str, float]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._keep, name=f"feed to {name}", daemon=True)
        self._thread.start()

    def put(self, arrival: Arrival) -> None:
        """Take a scored trial; returns at once."""
        if arrival.row["status"] != STOPPED:
            search = f"{arrival.search.strategy}/t{arrival.search.trajectory}"
            self._waiting.put((search, arrival.row["iteration"], metrics_of(arrival)))

    def close(self) -> None:
        """Wait a while until everything is sent."""
        self._waiting.put(None)
        self._thread.join(_WAIT_S)
        if self._thread.is_alive():
            self._say(f"feed to {self._name}: not all trials were sent within {_WAIT_S:.0f} seconds")

    def _keep(self) -> None:
        try:
            self._send_all()
        except Exception as error:  # another package, a server, a disk: nothing of it is the study's
            told = one_line(f"{type(error).__name__}: {error}", 200)
            self._say(f"feed to {self._name}: {told}; no more trials are sent in this run, the study goes on")

    def _send_all(self) -> None:
        sent: dict[str, int] = self._sent()
        tracker: Tracker | None = None
        while (item := self._waiting.get()) is not None:
            search, iteration, metrics = item
            if iteration <= sent.get(search, -1):
                continue
            tracker = tracker or TRACKERS[self._name](self._study, self._folder)
            tracker.send(search, iteration, metrics)
            sent[search] = iteration
            write_json(self._record, sent)
        if tracker is not None:
            tracker.close()

    def _sent(self) -> dict[str, int]:
        try:
            return dict(read_json(self._record)) if self._record.exists() else {}
        except (InputError, TypeError, ValueError):
            return {}


def metrics_of(arrival: Arrival) -> dict[str, float]:
    """Return the numbers of a trial by name: errors and spend, and each knob that is a number as `knob/{name}`."""
    row, rows = arrival.row, arrival.search.rows
    best = None if row["incumbent"] is None else rows[row["incumbent"]]["val_mae"]
    found: dict[str, Any] = {name: row[name] for name in _PLAIN}
    found |= {"best_val_mae": best, "failed": float(row["status"] != "ok")}
    found |= {f"knob/{name}": value for name, value in json.loads(row["knobs"]).items()}
    return {name: float(value) for name, value in found.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
