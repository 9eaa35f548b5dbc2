"""Studies on SLURM whose main process or whose jobs are killed: they end like one that was not, and nothing is paid for
twice.

    pytest -m slurm --chaos-seeds 20 -k killed_at_random        # after tests/slurm/slurm-up.sh
"""

import os
import random
import re
import signal
import subprocess

import pytest
from on_slurm import ended_well, is_training, processes_of, queued, slurm, submitted, training_jobs
from patience import wait_for
from survival import SIGNALS, STRATEGIES, MadeOnce, below_trainings, kill_when_there, same_as
from workflow import Workspace, study, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.chaos]

KILLS = 2


def test_killed_at_random(make_space, prepared, undisturbed_pair, chaos_seed):
    """Random signals at random moments; whatever SLURM still runs is cancelled or waited for, as the refusal says."""
    draw = random.Random(chaos_seed)
    space = make_space(study(strategies=STRATEGIES))
    space.begin_like(prepared)
    watch = MadeOnce(space)
    kills = refusals = 0
    while kills < KILLS:
        process = space.start(profile="slurm")
        try:
            process.wait(draw.uniform(2.0, 40.0))
        except subprocess.TimeoutExpired:
            chosen = SIGNALS[(chaos_seed + draw.randrange(3)) % 3]
            print(f"{chosen.name}; jobs: {queued(space.folder)}")
            os.kill(process.pid, chosen)
            wait_for(process, 300)
            kills += 1
        else:
            if process.returncode == 0:
                break
            follow_refusal(space, space.said(), cancel=draw.random() < 0.5)
            refusals += 1
        watch.check()
    status, said = space.attempt(profile="slurm")
    if status != 0:
        follow_refusal(space, said, cancel=draw.random() < 0.5)
        refusals += 1
        space.run(profile="slurm")
    print(f"{kills} kills, {refusals} refusals")
    watch.check()
    same_as(undisturbed_pair, space)


def follow_refusal(space: Workspace, said: str, *, cancel: bool) -> None:
    """Cancel the jobs of the earlier run, or wait until they have ended: the two ways on that the message names."""
    refusal = said.rpartition("jobs of an earlier run of smallest")[2]
    named = re.search(r"scancel ([\d ]+)", refusal)
    assert named, said[-4000:] + space.logs()
    if cancel:
        subprocess.run(["scancel", *named[1].split()], check=False)  # one that has ended meanwhile is an error to it
    wait_until(lambda: not queued(space.folder), 200, pause=0.5)


def test_after_sigkill_the_old_jobs_are_no_second_writers(begun, undisturbed):
    process = begun.start(profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    os.kill(process.pid, signal.SIGKILL)
    wait_for(process, 30)
    left = training_jobs(begun)
    assert left, "SLURM ended the job with its submitter"
    slurm("scontrol", "suspend", left[0])  # a short training would be over before the next run looks
    said = begun.run(profile="slurm", fails=True)
    assert f"scancel {left[0]}" in said
    slurm("scontrol", "resume", left[0])
    wait_until(lambda: not training_jobs(begun), 200, pause=0.5)
    begun.run(profile="slurm")
    same_as(undisturbed, begun)


def test_two_studies_in_one_folder(begun, undisturbed):
    """The jobs that a killed run has left are second writers for its own study only."""
    process = begun.start(profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    os.kill(process.pid, signal.SIGKILL)
    wait_for(process, 30)
    left = training_jobs(begun)[0]
    assert slurm("squeue", "--noheader", "--format=%j", "--jobs", left).startswith("tmelt-smallest_")
    slurm("scontrol", "suspend", left)
    other = Workspace(begun.folder, begun.config | {"study": "other"}, config_file="other.yaml")
    other.run(profile="slurm", targets=["results/other/protocol.json"])
    assert f"scancel {left}" in begun.run(profile="slurm", fails=True)
    slurm("scontrol", "resume", left)
    wait_until(lambda: not training_jobs(begun), 200, pause=0.5)
    begun.run(profile="slurm")
    same_as(undisturbed, begun)


@pytest.mark.parametrize("chosen", [signal.SIGTERM, signal.SIGINT])
def test_stopped_and_started_again(begun, undisturbed, chosen):
    process = begun.start(profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    os.kill(process.pid, chosen)
    wait_for(process, 200)
    wait_until(lambda: not training_jobs(begun), 100, pause=0.5)
    begun.run(profile="slurm")
    same_as(undisturbed, begun)


def test_processes_killed_on_the_node_are_no_verdict_on_the_candidate(begun, undisturbed):
    """All processes of a job; then the supervisor of a sandbox; in the next trial the worker in it.

    A job that was killed whole is submitted again; a training that failed in a living job is tried again in it.
    """
    process = begun.start("--slurm-keep-successful-logs", profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    (first,) = training_jobs(begun)
    kill_when_there(lambda: processes_of(first))
    kill_when_there(lambda: below_trainings(begun, 1), 200)
    wait_until((begun.study / "bo/t0/i1/proposal.json").exists, 200)
    kill_when_there(lambda: below_trainings(begun, 2), 200)
    said = ended_well(process, begun)
    jobs = submitted(said)
    assert len(jobs) == 3
    assert said.count("Trying to restart job") == 1
    for job in jobs[1:]:
        (log,) = begun.folder.glob(f"results/logs/slurm/**/{job}.log")
        assert "exit status 75" in log.read_text(), "no failure of the infrastructure was seen"
        assert "Trying to restart job" in log.read_text()
    same_as(undisturbed, begun)
