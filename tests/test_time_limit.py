"""The limits of `make check` on unmarked tests and on all of them, tried on tests of its own."""

import subprocess
import sys

import pytest
from test_config import ROOT

TESTS = """
import subprocess, sys, time
import pytest

BURN = "import time\\nwhile time.process_time() < 0.4: pass"

@pytest.fixture(scope="module")
def shared():
    exec(BURN, {})

def test_fast(shared): pass
def test_computes(): subprocess.run([sys.executable, "-c", BURN])
def test_waits(): time.sleep(60)
@pytest.mark.slow
def test_marked(): subprocess.run([sys.executable, "-c", BURN])
"""


def outcome(folder, *arguments):
    """Exit status of a run of TESTS, and its output's lines: failures and errors by name, at the end their count."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: x\n    chaos: x\n")
    # A clock that runs ahead of sleeps: a minute of waiting is tested in no time.
    fake = "import time\nahead = 0.0\nreal = time.monotonic\ntime.monotonic = lambda: real() + ahead\n"
    fake += "def sleep(s):\n    global ahead\n    ahead += s\ntime.sleep = sleep\n"
    (folder / "clock.py").write_text(fake)
    (folder / "test_it.py").write_text("import clock\n" + TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.slow
def test_slow_tests_without_a_mark_fail(tmp_path):
    _, lines = outcome(tmp_path, "--limit-s", "0.3")
    assert [line.split(" ")[1] for line in lines if line.startswith("ERROR ")] == [
        "test_it.py::test_computes",
        "test_it.py::test_waits",
    ], lines
    assert "4 passed, 2 errors" in lines[-1]


@pytest.mark.slow
def test_without_the_option_there_is_no_limit(tmp_path):
    status, lines = outcome(tmp_path)
    assert status == 0 and "4 passed" in lines[-1]


@pytest.mark.slow
def test_a_run_of_all_fast_tests_has_a_limit_too(tmp_path):
    status, lines = outcome(tmp_path, "--limit-cpu-s", "0.5")
    assert status == 1 and "4 passed" in lines[-1]
    assert any(line.startswith("CPU time: ") and ", over " in line for line in lines), lines
