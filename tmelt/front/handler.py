"""A logger plugin of Snakemake that shows a study: a line per trial, progress with spend, and what failed.

Everything else that Snakemake says goes into its own log file, whose path is shown. A dry run shows Snakemake's words.
"""

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.logging import logger
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from tmelt.front.feed import Arrival, Feed
from tmelt.front.price import most_usd
from tmelt.front.screen import Screen, screen_for
from tmelt.front.words import arrival_line, progress_line
from tmelt.study.config import Config, load_config
from tmelt.study.stage import Stages
from tmelt.text.safe import one_line
from tmelt.track.sender import Sender

LOOK_S = 2.0  # between two looks at the study's files


@dataclass(frozen=True)
class Shown:
    """The study to show."""

    config: Path
    source: Path | None
    feed: str | None = None  # the tracker to send trials to

    def load(self) -> Config:
        """Read the config as Snakemake does."""
        return load_config(self.config, source=self.source)


SHOWN: Shown | None = None  # set by tmelt.front.run before Snakemake makes the handler


class LogHandler(LogHandlerBase):
    """Shows the study that `SHOWN` names. Snakemake calls it from one thread of its own."""

    def __post_init__(self) -> None:
        """Begin; nothing is shown before Snakemake says something."""
        self._view: View | None = None

    @property
    def writes_to_stream(self) -> bool:
        """It takes the place of Snakemake's own output."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake writes its log itself."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's filter will do."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's formatter will do."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """No."""
        return False

    def emit(self, record: logging.LogRecord) -> None:
        """Show what a user wants to see of a message."""
        try:
            if self.common_settings.dryrun:
                if text := self.format(record):
                    print(text, flush=True)
                return
            self._show(record)
        except Exception:
            self.handleError(record)

    def _show(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event in (LogEvent.RUN_INFO, LogEvent.JOB_INFO, LogEvent.GROUP_INFO) and self._view is None:
            assert SHOWN is not None
            self._view = View(SHOWN.load(), feed=SHOWN.feed)
        say = self._view.screen.line if self._view else print
        if event == LogEvent.JOB_ERROR:
            say(_failed_job(record.__dict__))
        elif event == LogEvent.GROUP_ERROR or record.levelno >= logging.WARNING:
            if "CalledProcessError in file" not in record.getMessage():  # the same once more, with the whole command
                say(self.format(record))
        elif record.getMessage().startswith(("Nothing to be done", "Terminating processes", "Will exit after")):
            say(record.getMessage())

    def close(self) -> None:
        """Show the last trials and where the log is."""
        if self._view is not None:
            self._view.close()
            self._view = None
        super().close()


class View:
    """A running study on the screen, kept up to date by a thread."""

    def __init__(self, config: Config, results: Path = Path("results"), feed: str | None = None):
        self.screen: Screen = screen_for()
        self._sender = Sender(feed, config.study, results / config.study, self.screen.line) if feed else None
        self._feed, self._stages = Feed(config, results), Stages(config, results)
        self._limit_usd = most_usd(config)
        self._look = threading.Lock()
        self._over = threading.Event()
        if log := log_file():
            self.screen.line(f"log: {log}")
            _send_output_of_jobs(log)
        self._send(self._feed.poll())
        if self._feed.done:
            of = f"{'at most ' if self._feed.at_most else ''}{self._feed.planned}"
            self.screen.line(f"{self._feed.done} of {of} trials are there already")
        self._feed.forget_pace()
        self._thread = threading.Thread(target=self._keep, name="study's view", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while not self._over.is_set():
            self._update()
            self._over.wait(LOOK_S)

    def _update(self) -> None:
        with self._look:
            arrivals = self._feed.poll()
            self._send(arrivals)
            for arrival in arrivals:
                self.screen.line(arrival_line(arrival, self._feed.target))
            stage = self._stages.now(self._feed.done, self._feed.left)
            self.screen.progress(progress_line(self._feed, stage, self._limit_usd), stage.done, stage.of)

    def _send(self, arrivals: Sequence[Arrival]) -> None:
        if self._sender is not None:
            for arrival in arrivals:
                self._sender.put(arrival)

    def close(self) -> None:
        """Show what came last, and end."""
        self._over.set()
        self._thread.join()
        self._update()
        if self._sender is not None:
            self._sender.close()
        self.screen.close()
        stage = self._stages.now(self._feed.done, self._feed.left)
        self.screen.line(progress_line(self._feed, stage, self._limit_usd))


def log_file() -> str | None:
    """Return the file that Snakemake logs this run to."""
    return next((each.baseFilename for each in logger.handlers if isinstance(each, logging.FileHandler)), None)


def _send_output_of_jobs(log: str) -> None:
    """Let jobs that begin from now on print into the log; they inherit descriptor 1 (see tmelt.front.run)."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.close(file)


def _failed_job(told: dict[str, Any]) -> str:
    """One line for a job that failed; Snakemake tries some again."""
    logs = [Path(path) for path in told.get("log") or ()]
    lines = [line for log in logs if log.exists() for line in log.read_text(errors="replace").split("\n")]
    said = next((one_line(line) for line in reversed(lines) if line.strip()), "no message")
    where = f" ({logs[0]})" if logs else ""
    return f"job failed: {told.get('rule_name')}: {said}{where}"
