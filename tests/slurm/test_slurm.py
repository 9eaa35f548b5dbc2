"""Studies on a real SLURM, through profiles/slurm, end to end."""

import subprocess

import pytest
from on_slurm import slurm, submitted
from survival import STRATEGIES
from workflow import study

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def test_a_whole_study_to_its_report(make_space):
    space = make_space(study(strategies=STRATEGIES, confirm_seeds=1, runtime={"group": "block"}))
    log = space.run(profile="slurm", targets=[], timeout=900)
    assert (space.study / "report" / "report.html").exists()
    assert space.trials()["status"].to_list() == ["ok"] * 4
    comments = slurm("sacct", "--noheader", "--parsable2", "--format=comment%200", "--jobs", ",".join(submitted(log)))
    assert "smallest-bo-t0-b0" in comments, "no job says strategy and block"
    assert "smallest-ra-t0-i1" in comments, "no job says strategy and iteration"


@pytest.mark.parametrize(
    ("seeds_per_job", "group", "expected"),
    [(1, "none", 12), ("all", "none", 6), ("all", "trial", 6), ("all", "block", 4)],
)
def test_queue_waits_of_each_way_of_grouping(make_space, prepared, seeds_per_job, group, expected):
    """Two seeds and three trials of two searches; the same tables each way."""
    runtime = {"group": group, "block": 3, "seeds_per_job": seeds_per_job}
    space = make_space(study(strategies=STRATEGIES, seeds=[0, 1], iterations=2, runtime=runtime))
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
