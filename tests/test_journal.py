"""Finished runs are kept, found again, never believed when damaged, and trained by one process at a time."""

import os
import signal
import subprocess
import sys

import pytest

from tmelt.harness import journal
from tmelt.storage.files import read_json, write_json, write_text

KEY = "ab" + "0" * 62
ROW = {"seed": 1, "status": "ok", "fit_s": 2.5}


@pytest.fixture
def kept(tmp_path):
    """A journal with one run."""
    for name in journal.FILES:
        write_text(tmp_path / "run" / name, f"contents of {name}")
    journal.keep(tmp_path / "journal", KEY, tmp_path / "run", ROW)
    return tmp_path / "journal"


def test_a_kept_run_comes_back_with_its_files(kept, tmp_path):
    assert journal.recall(kept, KEY, tmp_path / "again") == ROW
    assert {path.name for path in (tmp_path / "again").iterdir()} == set(journal.FILES)
    assert journal.recall(kept, "cd" + KEY[2:], tmp_path / "other") is None
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", [*journal.FILES, "run.json"])
@pytest.mark.parametrize("damage", [b"", b"\xff\x00", None])
def test_a_damaged_entry_is_not_believed_and_is_replaced(kept, tmp_path, name, damage):
    victim = kept / KEY[:2] / KEY / name
    victim.unlink() if damage is None else victim.write_bytes(damage)
    with pytest.warns(UserWarning, match="damaged"):
        assert journal.recall(kept, KEY, tmp_path / "again") is None
    with pytest.warns(UserWarning, match="damaged"):
        journal.keep(kept, KEY, tmp_path / "run", ROW | {"fit_s": 3.0})
    assert journal.recall(kept, KEY, tmp_path / "again") == ROW | {"fit_s": 3.0}


def test_a_row_is_not_believed_without_its_hashes(kept, tmp_path):
    file = kept / KEY[:2] / KEY / "run.json"
    write_json(file, {"row": read_json(file)["row"]})
    with pytest.warns(UserWarning, match="damaged"):
        assert journal.recall(kept, KEY, tmp_path / "again") is None


def test_the_first_one_stays(kept, tmp_path):
    journal.keep(kept, KEY, tmp_path / "run", ROW | {"fit_s": 99.0})
    assert journal.recall(kept, KEY, tmp_path / "again") == ROW
    assert not list(kept.glob("*/.*.[!l]*")), "temporary folders are left"


def test_two_that_keep_a_run_in_the_same_moment_both_end_well(kept, tmp_path, monkeypatch):
    """As on a file system without locks: the other one's entry appears after this one has seen that there is none."""
    row_of, asked = journal._row_of, []

    def too_early_at_first(*given):
        asked.append(given)
        return row_of(*given) if len(asked) > 1 else None

    monkeypatch.setattr(journal, "_row_of", too_early_at_first)
    monkeypatch.setattr(journal.shutil, "rmtree", lambda *_, **__: None)
    journal.keep(kept, KEY, tmp_path / "run", ROW | {"fit_s": 99.0})
    assert len(asked) == 2
    assert journal.recall(kept, KEY, tmp_path / "again") == ROW


def test_the_lock_is_held_by_one_and_dropped_by_a_killed_one(tmp_path):
    holder = f"""
import sys, time
from pathlib import Path
from tmelt.harness import journal
with journal.only_one(Path({str(tmp_path)!r}), {KEY!r}):
    print("held", flush=True)
    time.sleep(float(sys.argv[1]))
"""
    first = subprocess.Popen([sys.executable, "-c", holder, "600"], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "held\n"
    second = subprocess.Popen([sys.executable, "-c", holder, "0"], stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1.5)
    os.kill(first.pid, signal.SIGKILL)
    assert second.communicate(timeout=60)[0] == "held\n"
    first.communicate()
