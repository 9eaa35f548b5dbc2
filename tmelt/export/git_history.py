"""Searches as git repositories: one commit per trial, as a researcher would have left them.

`main` holds what was kept, so `git log` tells the search's progress; `git log --all --graph` shows every trial, each a
branch from the trial that it was built on, under `trial/{number}`. A commit has train.py and knobs.json, and in its
message what was expected and what came of it.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from tmelt.errors import InputError
from tmelt.search.history import History, Trial
from tmelt.storage.files import sha256_text
from tmelt.study.results import Study, read_study
from tmelt.study.target import Target

SUBJECT = 72  # characters of a commit's subject


def export_git(folder: Path, output: Path) -> list[Path]:
    """Write a repository per search to `output`/{strategy}_t{trajectory}.

    Times of commits are the study's start and a second per trial, so that the same study gives the same hashes.

    Args:
        folder: of the study; it may still be running.
        output: folder for the repositories.

    Returns:
        the repositories.

    Raises:
        InputError: no study, no trial yet, no git on this machine, or a repository that is there already.
    """
    if shutil.which("git") is None:
        raise InputError("git: not found on this machine; install it")
    study = read_study(folder)
    if not study.searches:
        raise InputError(f"{folder}: no search has a trial yet")
    targets = {search: output / f"{search[0]}_t{search[1]}" for search in study.searches}
    for target in targets.values():
        if target.exists():
            raise InputError(f"{target}: is there already; delete it, or give another --output")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as made:  # all of them, or none
        for (strategy, trajectory), target in targets.items():
            repository = str(Path(made) / target.name)
            _git("init", "--quiet", "--initial-branch", "main", repository)
            _git("-C", repository, "fast-import", "--quiet", stream=b"".join(_commits(study, strategy, trajectory)))
            _git("-C", repository, "checkout", "--quiet", "main")
        for target in targets.values():
            (Path(made) / target.name).rename(target)
    return list(targets.values())


def _git(*arguments: str, stream: bytes = b"") -> None:
    done = subprocess.run(["git", *arguments], input=stream, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"git {arguments[-1]}: {done.stderr.decode(errors='replace').strip() or 'failed'}")


def _commits(study: Study, strategy: str, trajectory: int) -> Iterator[bytes]:
    """The search in the language of `git fast-import`."""
    history = study.history(strategy, trajectory)
    search = study.folder / strategy / f"t{trajectory}"
    kept = [trial.incumbent for trial in history if trial.incumbent is not None]
    return commits(
        history,
        author=strategy,
        begun=int(datetime.fromisoformat(study.protocol.created).timestamp()),
        head=kept[-1] if kept else 0,
        script=lambda trial: _script(search / f"i{trial.iteration}" / "train.py", trial),
        message=lambda trial: _message(trial, history, study.protocol.design.target),
    )


def commits(
    trials: Iterable[Trial],
    *,
    author: str,
    begun: int,
    head: int,
    script: Callable[[Trial], bytes],
    message: Callable[[Trial], str],
) -> Iterator[bytes]:
    """Trials in the language of `git fast-import`: a branch trial/N for each, and `main` at one of them.

    Args:
        trials: of a search, in order.
        author: name in the commits.
        begun: time of trial 0 in seconds since 1970; each later one is a second later.
        head: the trial that `main` is at.
        script: the training script of a trial.
        message: of a trial's commit.
    """
    for trial in trials:
        number = trial.iteration
        yield f"commit refs/heads/trial/{number}\nmark :{number + 1}\n".encode()
        yield f"committer {_author(author)} <> {begun + number} +0000\n".encode()
        yield _data(message(trial).encode())
        if number:
            yield f"from :{(trial.parent or 0) + 1}\n".encode()
        yield b"M 100644 inline knobs.json\n"
        yield _data((json.dumps(trial.knobs, indent=2, ensure_ascii=False) + "\n").encode())
        yield b"M 100644 inline train.py\n"
        yield _data(script(trial))
    yield f"reset refs/heads/main\nfrom :{head + 1}\n".encode()


def _author(strategy: str) -> str:
    return "".join(letter for letter in strategy if letter not in "<>\n") or "search"


def _script(path: Path, trial: Trial) -> bytes:
    """The trial's script.

    Raises:
        InputError: it is missing, or not the one that was scored.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    if trial.status != "stopped" and sha256_text(text) != trial.script:
        raise InputError(f"{path}: is not the script that was scored; restore it")
    return text.encode()


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _message(trial: Trial, history: History, target: Target) -> str:
    """What was tried, why, what was expected, and what came of it."""
    told = trial.proposal
    before = history[trial.parent or 0]
    changed = [
        f"{name}: {before.knobs.get(name, 'inactive')} → {trial.knobs.get(name, 'inactive')}"
        for name in dict.fromkeys([*before.knobs, *trial.knobs])
        if before.knobs.get(name) != trial.knobs.get(name)
    ]
    if trial.script != before.script:
        changed.append("train.py")
    score = target.amount(f"{trial.val_mae:.2f}") if trial.val_mae is not None else trial.status
    subject = f"Trial {trial.iteration}: {trial.decision}, {score}"
    if trial.iteration == 0:
        subject = f"Trial 0, the baseline: {score}"
    elif changed:
        subject += f"; {', '.join(changed)}"
    lines = [subject if len(subject) <= SUBJECT else subject[: SUBJECT - 1] + "…", ""]
    if trial.iteration and trial.difference is not None:
        margin = f", margin {trial.margin:.2f}" if trial.margin is not None else ""
        lines.append(f"Validation MAE minus the incumbent's: {target.amount(f'{trial.difference:+.2f}')}{margin}.")
    if changed and trial.iteration:
        lines.append(f"Changed against trial {trial.parent or 0}: {'; '.join(changed)}.")
    if told.get("expected_effect") is not None:
        expected = target.amount(f"{told['expected_effect']:+.2f}")
        lines.append(f"Expected effect: {expected}.")
    lines += [f"\n{name.capitalize()}: {told[name]}" for name in ("hypothesis", "rationale") if told.get(name)]
    if trial.error:
        lines.append(f"\nError: {trial.error}")
    return "\n".join(lines).replace("\0", "")
