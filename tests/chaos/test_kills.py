"""A study that is killed again and again ends like one that was not, and nothing is paid for twice."""

import json
import os
import random
import signal
import subprocess

import pytest
from patience import wait_for
from survival import SIGNALS, STRATEGIES, MadeOnce, below_trainings, kill_when_there, same_as, trainings
from workflow import Workspace, end_processes_in, wait_until

from tmelt.errors import InputError
from tmelt.storage.files import read_json
from tmelt.study.config import parse_config
from tmelt.study.lock import NAME
from tmelt.study.protocol import guard
from tmelt.study.status import report

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


def ended_well(process: subprocess.Popen, space: Workspace) -> str:
    """Wait for a run; its output."""
    assert wait_for(process, 300) == 0, space.said()[-3000:]
    return space.said()


def test_killed_at_random(prepared, undisturbed_pair, space_like, chaos_seed):
    draw = random.Random(chaos_seed)
    space = space_like(prepared, strategies=STRATEGIES)
    watch = MadeOnce(space)
    for _ in range(2):
        chosen = SIGNALS[(chaos_seed + draw.randrange(3)) % 3]
        process = space.start()
        try:
            process.wait(draw.uniform(1.0, 20.0))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, chosen)  # the main process alone: what it started may live on
        wait_for(process, 120)
        watch.check()
    space.run()
    watch.check()
    same_as(undisturbed_pair, space)


def test_a_search_with_cheap_trials_is_killed(prepared, space_like):
    """Promotions follow from the trials that were there before the kill, and the budget ends the search as it did."""
    asha = {"asha": {"kind": "asha", "fidelity": "proteins", "eta": 2, "rungs": 2}}
    undisturbed, space = (space_like(prepared, strategies=asha, iterations=2) for _ in range(2))
    undisturbed.run()
    watch = MadeOnce(space)
    process = space.start()
    kill_when_there(lambda: trainings(space) if len(space.journal()) == 2 else [])
    process.kill()
    wait_for(process, 120)
    watch.check()
    space.run()
    watch.check()
    same_as(undisturbed, space)
    trials = space.trials()
    assert trials["fidelity"].to_list() == [1.0, 0.5, 0.5, 1.0]
    assert trials["decision"].to_list()[:3] == ["baseline", "partial", "partial"]
    marker = read_json(space.study / "asha" / "t0" / "blocks" / "4.json")
    assert marker["used_up"] == {"kind": "used_up", "unit": "trials", "limit": 2, "used": 2.0}
    space.config["extent"]["iterations"] = 1
    with pytest.raises(InputError, match=r"extent\.iterations: 2 -> 1; it may only grow"):
        guard(parse_config(space.config), space.study, record=False)


def test_everything_killed_in_the_second_seed_keeps_the_first(prepared, space_like):
    space = space_like(prepared, seeds=[0, 1], strategies={"bo": {"kind": "bo", "startup": 1}}, iterations=1)
    process = space.start()
    wait_until(lambda: len(space.journal()) == 1)
    end_processes_in(space.folder)  # as if the machine went down
    wait_for(process, 30)
    first = space.journal()
    assert len(first) == 1
    (name,) = first
    written = (space.study / name).stat().st_mtime_ns
    space.run()
    assert len(space.journal()) == 4
    assert space.journal()[name] == first[name]
    assert (space.study / name).stat().st_mtime_ns == written


def test_a_killed_training_job_is_tried_again(prepared, undisturbed, space_like):
    space = space_like(prepared)
    process = space.start()
    for _ in range(2):
        kill_when_there(lambda: trainings(space))
    assert "Trying to restart job" in ended_well(process, space)
    same_as(undisturbed, space)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_killed_sandbox_is_no_verdict_on_the_candidate(prepared, undisturbed, space_like, depth):
    """Its supervisor (depth 1), or what that started (depth 2: the worker, the candidate), is killed from outside."""
    space = space_like(prepared)
    process = space.start()
    kill_when_there(lambda: below_trainings(space, depth))
    said = ended_well(process, space)
    assert "exit status 75" in said, "no failure of the infrastructure was seen"
    assert "Trying to restart job" in said
    same_as(undisturbed, space)


def test_an_orphaned_training_is_waited_for_not_repeated(prepared, undisturbed, space_like):
    space = space_like(prepared)
    process = space.start()
    wait_until(lambda: trainings(space))
    os.kill(process.pid, signal.SIGKILL)
    wait_for(process, 30)
    assert trainings(space), "the training ended with the main process"
    space.run()
    same_as(undisturbed, space)


def test_the_lock_of_a_killed_run_is_taken_over(prepared, undisturbed, space_like):
    space = space_like(prepared)
    process = space.start()
    wait_until(lambda: (space.study / NAME).exists())
    os.kill(process.pid, signal.SIGKILL)
    wait_for(process, 30)
    assert status_of(space).endswith("was killed; start it again to go on")
    assert f"the last run (process {process.pid} on" in space.run()
    assert not (space.study / NAME).exists()
    same_as(undisturbed, space)


def test_two_people_start_the_same_study(prepared, undisturbed, space_like):
    space = space_like(prepared)
    first = space.start()
    wait_until(lambda: (space.study / NAME).exists())
    said = space.run(fails=True)
    assert f"a run of this study is going on (process {first.pid} on" in said
    assert "running: process" in status_of(space)
    ended_well(first, space)
    same_as(undisturbed, space)


def test_two_studies_in_one_checkout(prepared, undisturbed, space_like):
    """The end of one frees nothing of the other, whose revision and reopening are its own affair."""
    space = space_like(prepared)
    short = Workspace(space.folder, space.config | {"study": "short"}, config_file="short.yaml")
    protocol = ["results/short/protocol.json"]
    assert "not running" in status_of(short)
    first = space.start()
    wait_until(lambda: (space.study / NAME).exists())
    short.run(targets=protocol)
    assert first.poll() is None, "too early to see anything"
    assert "running: process" in status_of(space) and "not running" in status_of(short)
    assert "a run of this study is going on" in space.run(fails=True)
    short.config["design"]["budget"] = short.config["design"]["budget"] | {"fit_s": 61}
    short.config["on_change"] = "revision"
    short.write_config()
    short.run(targets=protocol)
    (revision,) = json.loads((short.study / "protocol.json").read_text())["revisions"]
    assert revision["changes"] == ["budget.fit_s: 60.0 -> 61.0"]
    ended_well(first, space)
    same_as(undisturbed, space)


def test_two_studies_make_their_data_once(tmp_path, prepared):
    """Both start at the same moment, in a checkout without data."""
    spaces = [
        Workspace(tmp_path / "space", prepared.config | {"study": name}, config_file=f"{name}.yaml")
        for name in ("one", "two")
    ]
    started = [space.start(targets=[f"results/{space.config['study']}/protocol.json"]) for space in spaces]
    for process in started:
        assert wait_for(process, 300) == 0, "".join(space.said() for space in spaces)
    said = [space.said() for space in spaces]
    assert sorted("join_embedding" in words for words in said) == [False, True]
    assert sum("waiting for" in words for words in said) == 1


def status_of(space: Workspace) -> str:
    """The last line of `tmelt status`."""
    return report(parse_config(space.config), space.folder / "results").splitlines()[-1]
