"""Lines on a terminal and elsewhere."""

import os
import pty
import sys

from tmelt.front import screen
from tmelt.front.screen import Plain

SHOWS = """
import time
from tmelt.front.screen import screen_for
shown = screen_for()
shown.progress("trials 1 of 4", 1, 4)
shown.line("[bold]ua t0[/bold] \\x1b[2J trial")
print("printed by a rule")
time.sleep(1)
shown.close()
print("over")
"""


def on_a_terminal(script):
    """What a Python script writes to a terminal of its own."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm", "COLUMNS": "100"}
        os.execv(sys.executable, [sys.executable, "-c", script])
    written = b""
    try:
        while piece := os.read(terminal, 4096):
            written += piece
    except OSError:  # the end of a terminal
        pass
    assert os.waitpid(pid, 0)[1] == 0, written
    os.close(terminal)
    return written.decode()


def test_a_terminal_keeps_lines_and_drops_the_bar():
    said = on_a_terminal(SHOWS)
    assert "[bold]ua t0[/bold] \\x1b[2J trial" in said and "\x1b[2J" not in said
    assert "trials 1 of 4" in said and "printed by a rule" in said
    assert "\x1b[?25h" in said  # the cursor is visible
    assert said.rstrip().endswith("over")


def test_elsewhere_progress_is_a_plain_line_once_a_minute(capsys, monkeypatch):
    shown, now = Plain(), [1000.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    for text, seconds in (("trials 1", 0), ("trials 2", 30), ("trials 3", 31), ("trials 3", 70), ("trials 4", 10)):
        now[0] += seconds
        shown.progress(text, 0, 0)
    shown.line("\x1b[31mred")
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("  ")[2] for line in lines] == ["trials 1", "trials 3", "trials 4", "\\x1b[31mred"]
