"""The budget's clock: other work on the machine does not change a result, and more threads or processes win nothing."""

import contextlib
import os
import subprocess
import sys
import threading

import polars as pl
import pytest
from small_data import RIDGE, small_harness

from tmelt.harness.clock import Clock
from tmelt.harness.run import train_runs
from tmelt.harness.sandbox import Outcome
from tmelt.harness.variation import Variation
from tmelt.host import locks
from tmelt.host.cores import granted_cores
from tmelt.search.history import Proposal
from tmelt.search.knobs import Space
from tmelt.study.config import Budget
from tmelt.study.protocol import REFERENCE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_sandbox")]

KNOBS = Space().complete(
    {"width": 64, "feed_forward": 256, "head_width": 128, "epochs": 20, "patience": 20, "heads": 2, "crop": 256}
)


def train(script, small, folder, *, knobs=None, variation=None, threads=1, **budget):
    """The row of one run, without rehearsal."""
    proposal = Proposal(knobs=knobs or {}, script=script)
    budget = {"fit_s": 10, "predict_s": 10, "memory_mb": 1500, "disk_mb": 50, "processes": 32} | budget
    harness = small_harness(*small, budget=Budget(**budget), reference_sha256=proposal.script_sha256, threads=threads)
    (row,) = train_runs(proposal, [0], [folder / "s0"], harness, folder / "journal", 1, variation or Variation())
    return row


def predictions(folder):
    return pl.read_parquet(folder / "s0" / "predictions.parquet")


def before_fit(*lines):
    """The honest ridge with these lines before its own fit."""
    return RIDGE.replace("    x = task.fit", "".join(f"    {line}\n" for line in lines) + "    x = task.fit", 1)


@contextlib.contextmanager
def spinners(count):
    """Other work on the machine, for at most two minutes."""
    spin = "import time\nend = time.monotonic() + 120\nwhile time.monotonic() < end: pass"
    running = [subprocess.Popen([sys.executable, "-c", spin], start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_a_loaded_machine_gives_the_same_predictions(small, tmp_path):
    script = REFERENCE.read_text()
    quiet = train(script, small, tmp_path / "quiet", knobs=KNOBS, fit_s=5, wall_factor=30)
    with spinners(8):
        loaded = train(script, small, tmp_path / "loaded", knobs=KNOBS, fit_s=5, wall_factor=30)
    assert quiet["status"] == loaded["status"] == "ok"
    assert quiet["epochs"] == loaded["epochs"] == 20
    assert not quiet["cut_by_clock"]
    assert not loaded["cut_by_clock"]
    assert predictions(tmp_path / "quiet").equals(predictions(tmp_path / "loaded"))
    assert loaded["wall_s"] > 1.5 * loaded["cpu_s"]  # it did have to share its core


@pytest.mark.parametrize(
    "lines",
    [
        [
            "import os, time",
            "end = time.monotonic() + 2",
            "for _ in range(14):",
            "    if os.fork() == 0:",
            "        while time.monotonic() < end: pass",
            "        os._exit(0)",
            "while time.monotonic() < end: pass",
        ],
        [
            "import torch, time",
            "torch.set_num_threads(8)",
            "a, end = torch.randn(1000, 1000), time.monotonic() + 2",
            "while time.monotonic() < end: a @ a",
        ],
        [
            "import os, time",
            "os.sched_setaffinity(0, range(os.cpu_count()))",
            "end = time.monotonic() + 2",
            "if os.fork() == 0:",
            "    while time.monotonic() < end: pass",
            "    os._exit(0)",
            "while time.monotonic() < end: pass",
        ],
    ],
    ids=["spinners", "threads", "affinity"],
)
def test_more_threads_than_granted_have_no_more_cpu_time(small, tmp_path, lines):
    row = train(before_fit(*lines), small, tmp_path)
    assert row["status"] == "ok", (tmp_path / "s0" / "log.txt").read_text()
    assert row["cpu_s"] <= 1.05 * row["wall_s"] + 0.1


@pytest.mark.parametrize(
    "lines",
    [
        ["while True: pass"],
        [
            "import os, time",
            "while True:",
            "    pid = os.fork()",
            "    if pid == 0:",
            "        end = time.process_time() + 0.03",
            "        while time.process_time() < end: pass",
            "        os._exit(0)",
            "    os.waitpid(pid, 0)",
        ],
        # Orphans that nobody but the sandbox collects.
        [
            "import os, time",
            "while True:",
            "    pid = os.fork()",
            "    if pid == 0:",
            "        if os.fork() == 0:",
            "            end = time.process_time() + 0.03",
            "            while time.process_time() < end: pass",
            "        os._exit(0)",
            "    os.waitpid(pid, 0)",
            "    time.sleep(0.03)",
        ],
    ],
    ids=["itself", "children", "orphans"],
)
def test_cpu_time_of_a_whole_tree_counts(small, tmp_path, lines):
    row = train(before_fit(*lines), small, tmp_path, fit_s=1.5, wall_factor=20)
    assert (row["status"], row["reason"]) == ("timeout", None)
    assert row["cut_by_clock"]
    assert 1.5 <= row["fit_s"] < 5  # with START_S, before any script could run


def test_children_cannot_be_discarded_uncounted(small, tmp_path):
    """With SIGCHLD ignored a child's CPU time would be in nobody's account."""
    row = train(before_fit("import signal", "signal.signal(signal.SIGCHLD, signal.SIG_IGN)"), small, tmp_path)
    assert row["status"] == "crash"
    assert "Operation not permitted" in (tmp_path / "s0" / "log.txt").read_text()


def test_the_backstop_ends_a_script_that_sleeps(small, tmp_path):
    row = train(before_fit("import time", "time.sleep(60)"), small, tmp_path, fit_s=1, wall_factor=1)
    assert (row["status"], row["reason"], row["cut_by_clock"]) == ("timeout", "wall_clock", True)
    assert row["fit_s"] < 1


def test_a_script_that_stops_early_is_recorded_as_cut(small, tmp_path):
    loop = ["while task.seconds_left() > 0.05: pass"]
    row = train(before_fit(*loop), small, tmp_path / "late", fit_s=1)
    assert (row["status"], row["cut_by_clock"]) == ("ok", True)
    row = train(before_fit("while task.seconds_left() > 1.5: pass"), small, tmp_path / "early", fit_s=2)
    assert (row["status"], row["cut_by_clock"]) == ("ok", False)
    # The reference script keeps a tenth of its time in reserve, and asks for what is left.
    knobs = KNOBS | {"epochs": 1000, "patience": 1000}
    row = train(REFERENCE.read_text(), small, tmp_path / "reference", knobs=knobs, fit_s=2)
    assert (row["status"], row["cut_by_clock"]) == ("ok", True)
    assert row["epochs"] < 1000


def test_a_script_is_told_how_far_its_budget_is_scaled(small, tmp_path):
    script = before_fit("print('factor', task.budget_factor)")
    for factor in (1.0, 4.0):
        train(script, small, tmp_path / str(factor), variation=Variation(budget_factor=factor))
        assert f"factor {factor}" in (tmp_path / str(factor) / "s0" / "log.txt").read_text()
    knobs = KNOBS | {"epochs": 3, "patience": 30}
    row = train(REFERENCE.read_text(), small, tmp_path, knobs=knobs, variation=Variation(budget_factor=2.0))
    assert row["epochs"] == 6


def test_a_share_of_the_seconds_ends_a_run_whose_script_is_not_told(small, tmp_path):
    script = before_fit("print('factor', task.budget_factor, 'of', round(task.seconds_left()))")
    train(script, small, tmp_path, variation=Variation(seconds_factor=0.5), fit_s=8)
    assert "factor 1.0 of 4" in (tmp_path / "s0" / "log.txt").read_text()


def test_cpu_time_beyond_the_grant_is_tampering():
    clock = Clock("cpu", threads=2, wall_factor=4)
    fair = Outcome("bwrap", "ok", wall_s=10, cpu_s=20)
    assert clock.used(fair) == 10
    assert not clock.is_overdrawn(fair, seconds=10)
    assert clock.is_overdrawn(Outcome("bwrap", "ok", wall_s=5, cpu_s=20), seconds=10)  # four cores at once
    assert clock.is_overdrawn(Outcome("bwrap", "ok", wall_s=60, cpu_s=40), seconds=10)  # twice its time
    assert not Clock("cuda", threads=2, wall_factor=4).is_overdrawn(fair, seconds=1)


@pytest.fixture
def eight_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3, 4, 5, 8, 9, 10, 11})
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path))


def test_runs_side_by_side_hold_different_cores(eight_cores):
    found, ready = [], threading.Barrier(4)

    def run():
        with granted_cores(2) as cores:
            found.append(cores)
            ready.wait(10)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sum(found, ())) == [2, 3, 4, 5, 8, 9, 10, 11]
    with granted_cores(2) as freed:
        assert freed == (2, 3)


def test_too_few_cores_are_shared(eight_cores):
    with granted_cores(6) as first, granted_cores(4) as second, granted_cores(8) as all_of_them:
        assert len(first) == 6
        assert len(set(second)) == 4
        assert set(second) >= {2, 3, 4, 5, 8, 9, 10, 11} - set(first)
        assert len(all_of_them) == 8


def test_a_lock_folder_of_another_user_is_not_used(eight_cores, tmp_path):
    (tmp_path / f"tmelt-cores-{os.getuid()}").symlink_to("/etc")
    with granted_cores(2) as found:
        assert len(set(found)) == 2
