"""The lock of a study, with real processes: who holds it, who is dead, who may take it over."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from patience import wait_for
from workflow import wait_until

from tmelt.errors import InputError
from tmelt.study import lock as study_lock

HOLD = """
import sys, time
from pathlib import Path
from tmelt.study import lock as study_lock
study_lock.BEAT_S = float(sys.argv[2])
try:
    lock = study_lock.hold(Path(sys.argv[1]), "ci")
except study_lock.InputError as error:
    sys.exit(str(error))
print("held", flush=True)
if sys.argv[3] == "wait":
    time.sleep(300)
elif sys.argv[3] == "crash":
    raise RuntimeError
"""


@pytest.fixture
def start():
    """Starts processes that take a folder's lock; none of them outlives the test."""
    started = []

    def begin(folder: Path, then: str = "wait", beat_s: float = 0.05) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLD, str(folder), str(beat_s), then]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def held(process: subprocess.Popen) -> bool:
    """Wait for a process to take the lock or to be refused."""
    return process.stdout.readline() == "held\n"


def dead(folder: Path, **changes) -> study_lock.Found:
    """Leave the lock of a holder that is gone, with some of its facts changed."""
    holder = replace(study_lock._this_process("ci"), token="gone", born=1, **changes)
    folder.mkdir(exist_ok=True)
    (folder / study_lock.NAME).write_text(json.dumps(asdict(holder)))
    return study_lock.find(folder)


def age(folder: Path, seconds: float) -> None:
    """Set the last heartbeat so long ago."""
    then = study_lock._clock_of(folder) - seconds
    os.utime(folder / study_lock.NAME, (then, then))


def test_a_live_holder_is_named_and_keeps_the_lock(start, tmp_path):
    first = start(tmp_path)
    assert held(first)
    found = study_lock.find(tmp_path)
    assert found.alive and found.here and found.holder.pid == first.pid and found.holder.study == "ci"
    second = start(tmp_path)
    assert not held(second)
    said = second.communicate()[1]
    assert second.returncode == 1 and len(said.splitlines()) == 1
    assert f"process {first.pid} on " in said
    assert study_lock.find(tmp_path).token == found.token


@pytest.mark.parametrize("then", ["end", "crash"])
def test_the_lock_ends_with_a_process_that_ends_by_itself(start, tmp_path, then):
    process = start(tmp_path, then)
    assert held(process)
    process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_process_is_taken_over_at_once(start, tmp_path):
    first = start(tmp_path)
    assert held(first)
    first.kill()
    wait_for(first, 30)
    found = study_lock.find(tmp_path)
    assert not found.alive and found.how_dead == "was killed"
    second = start(tmp_path)
    assert held(second)
    second.terminate()
    said = second.communicate()[1]
    assert f"process {first.pid} on " in said and "was killed" in said
    assert [path.name for path in tmp_path.iterdir()] == [study_lock.NAME]


def test_a_stopped_process_is_alive(start, tmp_path):
    """A laptop that sleeps, a debugger: it will go on."""
    first = start(tmp_path)
    assert held(first)
    first.send_signal(signal.SIGSTOP)
    age(tmp_path, 10 * study_lock.SILENT_S)
    assert not held(start(tmp_path))


@pytest.mark.parametrize(
    ("facts", "silent_s", "alive"),
    [
        ({}, 0, False),  # this machine, and the process began at another time: its number was used again
        ({"pid": 2**22 + 1}, 0, False),  # no such process
        ({"machine": "another"}, 0, True),
        ({"machine": "another"}, study_lock.SILENT_S - 20, True),
        ({"machine": "another"}, study_lock.SILENT_S + 20, False),
        ({"machine": None}, 0, True),  # a system without /proc
        ({"machine": None}, study_lock.SILENT_S + 20, False),
    ],
)
def test_a_dead_holder_is_told_from_a_live_one(tmp_path, facts, silent_s, alive):
    dead(tmp_path, **facts)
    age(tmp_path, silent_s)
    assert study_lock.find(tmp_path).alive == alive
    if alive:
        with pytest.raises(InputError, match=r"a run of this study is going on .* or delete .*run\.lock"):
            study_lock.hold(tmp_path, "ci")
    else:
        study_lock.hold(tmp_path, "ci").release()
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"token": "x"}', "\x00" * 100])
def test_a_lock_that_cannot_be_read_counts_by_its_age(tmp_path, text):
    (tmp_path / study_lock.NAME).write_text(text)
    with pytest.raises(InputError, match="not readable"):
        study_lock.hold(tmp_path, "ci")
    age(tmp_path, study_lock.SILENT_S + 20)
    study_lock.hold(tmp_path, "ci").release()


def test_the_clock_of_the_file_server_counts_not_ours(tmp_path, monkeypatch):
    dead(tmp_path, machine="another")
    server = study_lock._clock_of(tmp_path)
    monkeypatch.setattr(study_lock.time, "time", lambda: server + 10_000)  # our clock is hours ahead
    with pytest.raises(InputError):
        study_lock.hold(tmp_path, "ci")


def test_the_heartbeat_goes_on(start, tmp_path):
    assert held(start(tmp_path))
    age(tmp_path, 1000)
    wait_until(lambda: study_lock.find(tmp_path).silent_s < 100, 30)


@pytest.mark.parametrize("lost", ["deleted", "taken over"])
def test_a_run_that_lost_its_lock_stops(start, tmp_path, lost):
    process = start(tmp_path)
    assert held(process)
    if lost == "deleted":
        (tmp_path / study_lock.NAME).unlink()
    else:
        dead(tmp_path)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == -signal.SIGINT and "this run stops" in said
    assert (tmp_path / study_lock.NAME).exists() == (lost == "taken over"), "another run's lock was deleted"


def test_one_of_many_takes_over(start, tmp_path):
    for round_ in range(3):
        folder = tmp_path / str(round_)
        dead(folder)
        processes = [start(folder) for _ in range(6)]
        assert sum(map(held, processes)) == 1
        for process in processes:
            process.kill()


def test_a_takeover_that_was_killed_blocks_nobody_for_long(tmp_path):
    found = dead(tmp_path)
    claim = tmp_path / f".{study_lock.NAME}.{found.token}"
    claim.write_text("{}")
    with pytest.raises(InputError, match="start again in a moment"):
        study_lock.hold(tmp_path, "ci")
    then = study_lock._clock_of(tmp_path) - study_lock.SILENT_S - 20
    os.utime(claim, (then, then))
    study_lock.hold(tmp_path, "ci").release()
    assert list(tmp_path.iterdir()) == []


def test_without_links_the_lock_still_is_one(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(study_lock.errno.EPERM, "no links here")

    monkeypatch.setattr(study_lock.os, "link", refuse)
    lock = study_lock.hold(tmp_path, "ci")
    with pytest.raises(InputError):
        study_lock.hold(tmp_path, "ci")
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_shared_folder_is_waited_for_and_then_free(start, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study_lock, "BEAT_S", 0.05)
    data, product = tmp_path / "data", tmp_path / "data" / "data.json"
    other = start(data)
    assert held(other)
    monkeypatch.setattr(study_lock.time, "sleep", lambda _: other.kill() or other.wait())  # as if we had waited
    lock = study_lock.hold_shared(data, "mine", product)
    assert "waiting for ci, which makes it" in capsys.readouterr().err
    assert study_lock.find(data).holder.study == "mine", "the other run was killed, so this one makes it"
    product.touch()
    wait_until(lambda: study_lock.find(data) is None, 30)
    lock.release()
    assert study_lock.hold_shared(data, "third", product) is None
