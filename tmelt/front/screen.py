"""Where the lines about a running study go: a terminal with a progress bar below them, or plain lines."""

import sys
import time
from typing import Protocol

from tmelt.text.safe import for_terminal

PLAIN_EVERY_S = 60.0  # between two lines of progress, where they are plain


class Screen(Protocol):
    """Shows lines, and below them how far the study is."""

    def line(self, text: str) -> None:
        """Show a line for good."""

    def progress(self, text: str, done: int, of: int) -> None:
        """Show how far it is; `of` is 0 while that cannot be counted."""

    def close(self) -> None:
        """End the display of progress."""


def screen_for(stream: object = None) -> Screen:
    """Return the screen that fits standard output."""
    stream = stream or sys.stdout
    return Terminal() if getattr(stream, "isatty", lambda: False)() else Plain()


class Plain:
    """Plain lines, for a file, a pipe or a log of a cluster."""

    def __init__(self) -> None:
        self._shown = ""
        self._next = 0.0

    def line(self, text: str) -> None:
        """Print it."""
        print(for_terminal(text), flush=True)

    def progress(self, text: str, done: int, of: int) -> None:
        """Print it once a minute, where it changed."""
        if text != self._shown and time.monotonic() >= self._next:
            self._shown, self._next = text, time.monotonic() + PLAIN_EVERY_S
            self.line(f"{time.strftime('%H:%M:%S')}  {text}")

    def close(self) -> None:
        """Nothing is left to do."""


class Terminal:
    """A terminal: the last line is the bar, which is gone at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console()
        self._progress = Progress(
            TimeElapsedColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            transient=True,
            refresh_per_second=2,
        )
        self._task = self._progress.add_task("starting", total=None)
        self._progress.start()
        self._console.show_cursor(True)  # stays visible if this process is killed

    def line(self, text: str) -> None:
        """Print it above the bar."""
        self._console.print(for_terminal(text), markup=False, highlight=False, soft_wrap=True)

    def progress(self, text: str, done: int, of: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, description=for_terminal(text), completed=done, total=of or None)

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()
