"""A command line made from a function's signature."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tmelt import __version__
from tmelt.command import run_command, run_subcommand
from tmelt.errors import InfrastructureError, InputError
from tmelt.storage import full_disk


def test_arguments_arrive_in_their_types():
    got = {}

    def work(*, table: Path, seeds: list[int], name: str | None = None, dry: bool = False, share: float = 0.5) -> None:
        got.update(locals())

    run_command(work, ["--table", "a.csv", "--seeds", "1", "2", "--dry"])
    assert got | {"got": 0} == {
        "table": Path("a.csv"), "seeds": [1, 2], "name": None, "dry": True, "share": 0.5, "got": 0
    }  # fmt: skip
    run_command(work, ["--table", "a.csv", "--seeds"])
    assert got["seeds"] == []


@pytest.mark.parametrize(("error", "status"), [(InputError, 2), (InfrastructureError, 75)])
def test_a_persons_mistake_is_one_line_and_a_machines_is_retried(capsys, error, status):
    def work(*, table: Path) -> None:
        raise error(f"{table}: bad")

    with pytest.raises(SystemExit) as left:
        run_command(work, ["--table", "a.csv"])
    assert left.value.code == status
    assert capsys.readouterr().err == "error: a.csv: bad\n"


def test_our_own_mistakes_show_their_traceback():
    def work(*, count: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(work, ["--count", "1"])


PRINTS = """
from tmelt.command import run_command

def work(*, lines: int) -> None:
    for _ in range(lines):
        print("T\\u2098 50.00 \\u00b0C \\u2013 \\u00b5")

run_command(work)
"""


def printed(stdout, lines: int, script: str = PRINTS, **environment: str) -> tuple[int, str]:
    """Status and standard error of a command that prints to `stdout`."""
    command = [sys.executable, "-c", script, "--lines", str(lines)]
    environment = os.environ | environment
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LANG": "C"},
    ],
    ids=str,
)
def test_any_terminal_can_be_written_to(tmp_path, environment):
    with (tmp_path / "out").open("w") as file:
        assert printed(file, 2, **environment) == (0, "")
    first, second = (tmp_path / "out").read_bytes().splitlines()
    assert first == second and b"50.00" in first


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_seen_enough_is_no_error(lines):
    """`tmelt check table.csv | head`, with output that fits the buffer and output that does not."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        assert printed(writes, lines) == (141, "")
    finally:
        os.close(writes)


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_full_disk_is_one_line(lines):
    with Path("/dev/full").open("w") as full:
        assert printed(full, lines) == (75, "error: No space left on device; make room and run again\n")


def test_a_full_temporary_folder_is_named_with_tmpdir(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(full_disk, "LEAST_FREE_MB", 1 << 40)
    said = full_disk.no_space(OSError(28, "No space left on device", f"{tmp_path}/x"))
    assert said.startswith(f"{tmp_path}/x: No space left on device; {tmp_path} has")
    assert said.endswith("or set TMPDIR to a folder on a disk with more")


def test_the_version_is_shown(capsys):
    with pytest.raises(SystemExit) as left:
        run_subcommand("tmelt", "about", (), ["--version"])
    assert (left.value.code, capsys.readouterr().out) == (0, f"tmelt {__version__}\n")
