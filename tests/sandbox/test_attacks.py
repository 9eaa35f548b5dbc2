"""Every attack against every backend of this machine, as root and as an ordinary user."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from needs import need_backend

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))

import attacks  # noqa: E402
from users import NO_PYTHON, python_for, users  # noqa: E402

CONFIGURATIONS = {"bwrap": ["--backend", "bwrap"], "landlock": ["--backend", "landlock"]}
# What remains on older kernels and in the arrangement for them.
OLDER = {
    "bwrap, one worker per phase": ["--backend", "bwrap", "--cold"],
    "bwrap, no Landlock": ["--backend", "bwrap", "--landlock-abi", "0"],
    "landlock 1": ["--backend", "landlock", "--landlock-abi", "1"],
    "landlock 3": ["--backend", "landlock", "--landlock-abi", "3"],
    "landlock 5": ["--backend", "landlock", "--landlock-abi", "5"],
}
# Landlock does not mediate stat(): size and times of a file whose path is known can be seen.
KNOWN_LEAKS = {("landlock", "stat_outside")}
# `make check` has one user's view.
USERS = [pytest.param(user, marks=[pytest.mark.slow] if number else []) for number, user in enumerate(users())]
FAST = sorted(set(attacks.ATTACKS) - attacks.SLOW)
SLOW = sorted(attacks.SLOW)


def findings(user: str, options: list[str], names: list[str]) -> dict[str, dict]:
    """Findings of one session on the shooting range, by attack."""
    python = python_for(user)
    if python is None:
        pytest.skip(NO_PYTHON.format(user))
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        subprocess.run(
            [*python, HERE / "shooting_range.py", *options, "--attack", *names],
            stdout=output,
            stderr=errors,
            timeout=400,
            cwd="/",
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        )
        output.seek(0)
        errors.seek(0)
        rows = [json.loads(line) for line in output]
        assert len(rows) == len(names), errors.read()[-2000:]
    return {row["attack"]: row for row in rows}


def check(user: str, options: list[str], names: list[str], subtests: pytest.Subtests) -> None:
    """Fail for each attack that was not stopped, or that was although it is known to succeed."""
    backend = options[1]
    need_backend(backend)
    for attack, finding in findings(user, options, names).items():
        with subtests.test(attack):
            assert finding["stopped"] == ((backend, attack) not in KNOWN_LEAKS), finding["detail"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_stopped(configuration, user, subtests):
    check(user, CONFIGURATIONS[configuration], FAST, subtests)


@pytest.mark.slow
@pytest.mark.parametrize("user", users())
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_greed_stopped(configuration, user, subtests):
    check(user, CONFIGURATIONS[configuration], SLOW, subtests)


@pytest.mark.slow
@pytest.mark.parametrize("user", users())
@pytest.mark.parametrize("configuration", OLDER)
def test_stopped_on_older_kernels(configuration, user, subtests):
    check(user, OLDER[configuration], FAST, subtests)


@pytest.mark.slow
def test_attacks_bite_where_there_is_no_sandbox():
    if os.geteuid() != 0:
        pytest.skip("some attacks need root even then: run the tests as root")
    bare = findings("root", ["--backend", "bare"], FAST)
    # Some need a terminal, an old system call, or luck; were it many, the others' failing above would prove little.
    stopped = {name for name, finding in bare.items() if finding["stopped"]}
    assert len(stopped) <= 4, stopped
