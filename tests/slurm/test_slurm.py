"""Studies on a real SLURM, through profiles/slurm: end to end, and with what goes wrong on clusters."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from workflow import Workspace, processes_in, study, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

STRATEGIES = {"bo": {"kind": "bo", "startup": 1}, "ra": {"kind": "ra", "model": "playbook"}}
BO = {"bo": {"kind": "bo", "startup": 1}}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Workspace:
    """Data, embedding and protocol, made on this machine."""
    space = Workspace(tmp_path_factory.mktemp("prepared") / "space", study())
    space.prepare()
    return space


@pytest.fixture(scope="session")
def undisturbed(prepared, tmp_path_factory) -> Workspace:
    """The study of the fault tests, run on this machine without SLURM and without faults."""
    space = Workspace(tmp_path_factory.mktemp("undisturbed") / "space", study(strategies=BO))
    space.begin_like(prepared)
    space.run()
    return space


@pytest.fixture
def begun(make_space, prepared) -> Workspace:
    """The same study on SLURM, before its first trial."""
    space = make_space(study(strategies=BO))
    space.begin_like(prepared)
    return space


def same_as(undisturbed: Workspace, space: Workspace) -> None:
    """The same tables and predictions, each training paid for once."""
    assert space.trials().equals(undisturbed.trials())
    assert space.predictions() == undisturbed.predictions()
    assert space.journal().keys() == undisturbed.journal().keys()


def slurm(*command: str) -> str:
    """Run one of SLURM's commands."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def submitted(log: str) -> list[str]:
    """Numbers of SLURM's jobs in Snakemake's output."""
    return re.findall(r"submitted with SLURM jobid (\d+)", log)


def training_jobs(space: Workspace) -> list[str]:
    """Numbers of the trainings that SLURM runs now."""
    lines = slurm("squeue", "--me", "--noheader", "--states=RUNNING", "--format=%A|%k|%Z").splitlines()
    fields = (line.split("|", 2) for line in lines)
    return [number for number, what, where in fields if "train" in what and Path(where) == space.folder]


def is_training(space: Workspace) -> bool:
    """Whether a training of this study works at this moment."""
    for pid in processes_in(space.folder):
        try:
            if b"scripts/train_run.py" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:3]:
                return True
        except OSError:
            continue
    return False


def ended_well(process: subprocess.Popen, space: Workspace, timeout: float = 400) -> str:
    """Wait for a run; its output."""
    process.wait(timeout)
    log = (space.folder / "log.txt").read_text()
    assert process.returncode == 0, log[-6000:] + space.logs()
    return log


# --- end to end -------------------------------------------------------------------------------------------------------


def test_a_whole_study_to_its_report(make_space):
    space = make_space(study(strategies=STRATEGIES, confirm_seeds=1, runtime={"group": "block"}))
    log = space.run(profile="slurm", targets=[], timeout=900)
    assert (space.study / "report" / "report.html").exists()
    assert space.trials()["status"].to_list() == ["ok"] * 4
    comments = slurm("sacct", "--noheader", "--parsable2", "--format=comment%200", "--jobs", ",".join(submitted(log)))
    assert "smallest-bo-t0-b0" in comments, "no job says strategy and block"
    assert "smallest-ra-t0-i1" in comments, "no job says strategy and iteration"


@pytest.mark.parametrize(("group", "expected"), [("none", 6), ("trial", 6), ("block", 4)])
def test_queue_waits_of_each_way_of_grouping(make_space, prepared, group, expected):
    """Two seeds and two trials of two searches; the same tables each way."""
    space = make_space(study(strategies=STRATEGIES, seeds=[0, 1], iterations=2, runtime={"group": group, "block": 3}))
    space.begin_like(prepared)
    log = space.run(profile="slurm")
    assert len(submitted(log)) == expected
    assert space.trials()["status"].to_list() == ["ok"] * 6
    assert len(list(space.study.glob("*/t0/i*/s1/run.parquet"))) == 6


def test_gpu_jobs_get_a_gpu_each_and_not_more_than_there_are(cluster):
    """What the profile asks for in a study with `device: cuda`; the GPUs are fake, so nothing is trained."""
    request = ["srun", "--quiet", "--partition=gpu", "--gpus=1", "--mem=50", "-n1", "--chdir=/"]
    jobs = [
        subprocess.Popen([*request, "sh", "-c", "echo $CUDA_VISIBLE_DEVICES; sleep 3"], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    assert sorted(job.communicate(timeout=60)[0].strip() for job in jobs) == [b"0", b"1"]


# --- faults -----------------------------------------------------------------------------------------------------------


def test_after_sigkill_the_old_jobs_are_no_second_writers(begun, undisturbed):
    process = begun.start(profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    left = training_jobs(begun)
    assert left, "SLURM ended the job with its submitter"
    slurm("scontrol", "suspend", left[0])  # a short training would be over before the next run looks
    begun.attempt("--unlock", profile="slurm")
    said = begun.run(profile="slurm", fails=True)
    assert f"scancel {left[0]}" in said
    slurm("scontrol", "resume", left[0])
    wait_until(lambda: not training_jobs(begun), 200, pause=1)
    begun.run(profile="slurm")
    same_as(undisturbed, begun)


@pytest.mark.parametrize("chosen", [signal.SIGTERM, signal.SIGINT])
def test_stopped_and_started_again(begun, undisturbed, chosen):
    process = begun.start(profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    os.kill(process.pid, chosen)
    process.wait(200)
    wait_until(lambda: not training_jobs(begun), 100, pause=1)
    begun.run(profile="slurm")
    same_as(undisturbed, begun)


def test_a_cancelled_job_is_tried_again(begun, undisturbed):
    process = begun.start(profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    slurm("scancel", *training_jobs(begun))
    log = ended_well(process, begun)
    assert len(submitted(log)) == 3
    same_as(undisturbed, begun)


def test_a_drained_node_comes_back(begun, undisturbed):
    node = slurm("sinfo", "--noheader", "--format=%N")
    process = begun.start(profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        wait_until(lambda: len(submitted((begun.folder / "log.txt").read_text())) == 2, 200, pause=1)
    finally:
        slurm("scontrol", "update", f"nodename={node}", "state=resume")
    ended_well(process, begun)
    same_as(undisturbed, begun)


def test_the_controller_is_restarted(begun, undisturbed, cluster):
    process = begun.start(profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    shared = Path(__file__).with_name("cluster.sh")
    script = f". {shared}; stop slurmctld; sleep 8; start_slurmctld"
    subprocess.run(["bash", "-euc", script], check=True, timeout=120, env=os.environ | {"SLURM_TEST_DIR": str(cluster)})
    ended_well(process, begun)
    same_as(undisturbed, begun)


def test_out_of_memory_gets_more(begun, undisturbed):
    small = "train_trial:mem_mb=400 if attempt == 1 else 4000"
    process = begun.start("--set-resources", small, profile="slurm")
    log = ended_well(process, begun)
    assert len(submitted(log)) > 2, "the first attempt was not killed"
    same_as(undisturbed, begun)


def test_out_of_time_gets_more(make_space, prepared):
    """A training that lasts as long as its budget lets it, in jobs of one minute, then of two."""
    config = study(strategies=BO)
    config["study"] = "slow"
    config["design"]["space"]["epochs"] = {"default": 100_000, "low": 1, "high": 100_000}
    config["design"]["space"]["patience"] = {"default": 100_000, "low": 1, "high": 100_000}
    config["design"]["budget"]["fit_s"] = 70
    config["extent"]["iterations"] = 1
    space = make_space(config)
    process = space.start("--set-resources", "train_trial:runtime=1 if attempt == 1 else 5", profile="slurm")
    wait_until(lambda: len(training_jobs(space)) == 1, 200, pause=1)
    first = training_jobs(space)[0]
    wait_until(lambda: first not in training_jobs(space), 200, pause=1)
    wait_until(lambda: len(training_jobs(space)) == 1, 100, pause=1)
    assert "TIMEOUT" in slurm("sacct", "--noheader", "--format=state", "--jobs", first)
    assert training_jobs(space) != [first]
    os.kill(process.pid, signal.SIGINT)  # the second attempt has time enough; there is no need to see it
    process.wait(100)
