"""The folder that a coding agent works in: a git repository with the search so far, and what it leaves there.

`main` is the trial to build on, usually the incumbent, and `trial/N` every trial, as in `tmelt export git`. Only
train.py and knobs.json are in the commits; the rest are files that git is told to ignore.
"""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tmelt.coder.confined import RUN
from tmelt.coder.desk import SOCKET
from tmelt.errors import InputError
from tmelt.export.git_history import SUBJECT, commits
from tmelt.harness.sandbox import remove_tree
from tmelt.search.history import History, Trial
from tmelt.strategies import Context
from tmelt.strategies.agent import Base, base_of
from tmelt.strategies.coarse import told_mae
from tmelt.strategies.memory import trial_text

FILES = {"script": "train.py", "knobs": "knobs.json", "notes": "NOTES.md"}
FILE_BYTES = 200_000
_BEGUN = 946_684_800  # 2000-01-01: the same history gives the same commits
_CLIENT = Path(__file__).with_name("ask_harness.py")
_COMMANDS = {
    "check": "Check train.py with knobs.json: its form, and a rehearsal on 64 proteins.",
    "try": "Fit train.py with knobs.json for a short time, and tell its error on early-stopping proteins.",
}
_NOTES = """\
Hypothesis:
Expected effect:

(Why, in the light of the history. The three lines above are read by the harness; add `From: 3` if you started from
trial 3 and not from `main`.)
"""


@dataclass(frozen=True)
class Left:
    """What a coding agent left: the texts of its files; None where one is missing or cannot be read."""

    script: str | None
    knobs: str | None
    notes: str | None


def write_workspace(
    folder: Path, history: History, context: Context, base: Base, *, program: str, contract: str, summary: str,
    commands: Sequence[str],
) -> None:  # fmt: skip
    """Make the repository anew.

    Args:
        folder: to make; one that is there is removed.
        history: all trials so far.
        context: of the trial to propose.
        base: the trial that is checked out.
        program: text of program.md.
        contract: text of CONTRACT.md.
        summary: text of history/summary.md.
        commands: of check and try, those that are on offer.

    Raises:
        InputError: git is missing.
    """
    if folder.exists():
        remove_tree(folder)
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet", "--initial-branch", "main")
    stream = commits(
        history, author=context.strategy, begun=_BEGUN, head=base.trial.iteration,
        script=lambda trial: base_of(trial, context).script.encode(),
        message=lambda trial: _message(trial, history, context),
    )  # fmt: skip
    _git(folder, "fast-import", "--quiet", stream=b"".join(stream))
    _git(folder, "checkout", "--quiet", "main")
    for key, value in (("user.name", "agent"), ("user.email", "agent@localhost")):
        _git(folder, "config", key, value)
    # As the harness spells them, whatever git does to the ends of lines.
    (folder / FILES["script"]).write_text(base.script, encoding="utf-8", newline="")
    (folder / FILES["knobs"]).write_text(knobs_text(base), encoding="utf-8")
    texts = {"program.md": program, "CONTRACT.md": contract, "NOTES.md": _NOTES, "history/summary.md": summary}
    for trial in history:
        texts |= _account(trial, history, context)
    for command in commands:
        texts[command] = _client(command)
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for command in commands:
        (folder / command).chmod(0o755)
    exclude = folder / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("*\n!/train.py\n!/knobs.json\n")


def knobs_text(base: Base) -> str:
    """knobs.json of a trial."""
    return json.dumps(base.knobs, indent=2, ensure_ascii=False) + "\n"


def read_left(folder: Path) -> Left:
    """The files that a session left, none of them through a link."""
    found = {key: read_inside(folder, name) for key, name in FILES.items()}
    texts = {key: None if content is None else _text(content) for key, content in found.items()}
    if texts["notes"] == _NOTES:
        texts["notes"] = None
    return Left(**texts)


def read_inside(folder: Path, name: str, most: int = FILE_BYTES) -> bytes | None:
    """Return the bytes of a regular file in a folder that the agent has written; follow no symbolic link."""
    *parents, last = PurePosixPath(name).parts
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parents:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(file.fileno())
            return file.read() if stat.S_ISREG(about.st_mode) and about.st_size <= most else None
    except OSError:
        return None
    finally:
        os.close(place)


def _text(content: bytes) -> str | None:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _account(trial: Trial, history: History, context: Context) -> Mapping[str, str]:
    """The files about one trial."""
    place = f"history/{trial.iteration:04d}"
    base = base_of(trial, context)
    about = trial_text(history, trial.iteration, None, context.target)
    return {
        f"{place}/about.md": f"# Trial {trial.iteration}\n\n{about}\n",
        f"{place}/train.py": base.script,
        f"{place}/knobs.json": knobs_text(base),
    }


def _client(command: str) -> str:
    values = {"about": _COMMANDS[command], "command": command, "run": RUN, "socket": SOCKET}
    return f"#!{sys.executable} -IS\n" + _CLIENT.read_text(encoding="utf-8") % values


def _message(trial: Trial, history: History, context: Context) -> str:
    outcome = context.target.amount(f"{told_mae(trial):.2f}") if trial.ok else trial.status
    decision = "the baseline" if trial.iteration == 0 else trial.decision
    subject = f"Trial {trial.iteration}: {decision}, {outcome}"
    return f"{subject[:SUBJECT]}\n\n{trial_text(history, trial.iteration, None, context.target)}".replace("\0", "")


def _git(folder: Path, *arguments: str, stream: bytes = b"") -> None:
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], input=stream, capture_output=True, check=False)
    except FileNotFoundError:
        raise InputError("git: not found on this machine; kind: coder needs it, install it") from None
    if done.returncode:
        raise InputError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip() or 'failed'}")


def changed_files(folder: Path, base: Base) -> Iterator[str]:
    """Which of train.py and knobs.json differ from the trial that was checked out."""
    left = read_left(folder)
    if left.script != base.script:
        yield FILES["script"]
    if left.knobs != knobs_text(base):
        yield FILES["knobs"]
