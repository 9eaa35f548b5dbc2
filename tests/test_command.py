"""A command line made from a function's signature."""

from pathlib import Path

import pytest

from tmelt.command import run_command
from tmelt.errors import InfrastructureError, InputError


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
