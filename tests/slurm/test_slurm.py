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
    [(1, "none", 8), ("all", "none", 4), ("all", "trial", 4), ("all", "block", 3)],
)
def test_queue_waits_of_each_way_of_grouping(make_space, prepared, seeds_per_job, group, expected):
    """Two seeds and two trials of two searches; the same tables each way."""
    runtime = {"group": group, "block": 2, "seeds_per_job": seeds_per_job}
    space = make_space(study(strategies=STRATEGIES, seeds=[0, 1], iterations=1, runtime=runtime))
    space.begin_like(prepared)
    log = space.run(profile="slurm")
    assert len(submitted(log)) == expected
    assert space.trials()["status"].to_list() == ["ok"] * 4
    assert len(list(space.study.glob("*/t0/i*/s1/run.parquet"))) == 4


def test_gpu_jobs_get_a_gpu_each_and_not_more_than_there_are(cluster):
    """What the profile asks for in a study with `device: cuda`; the GPUs are fake, so nothing is trained."""
    request = ["srun", "--quiet", "--partition=gpu", "--gpus=1", "--mem=50", "-n1", "--chdir=/"]
    command = "date +%s; echo $CUDA_VISIBLE_DEVICES; sleep 5; date +%s"
    jobs = [subprocess.Popen([*request, "sh", "-c", command], stdout=subprocess.PIPE, text=True) for _ in range(5)]
    said = sorted(tuple(map(int, job.communicate(timeout=120)[0].split())) for job in jobs)
    four, (began, gpu, _) = said[:4], said[4]
    assert sorted(held for _, held, _ in four) == [0, 1, 2, 3]
    assert max(start for start, _, _ in four) < min(end for _, _, end in four), "they did not run side by side"
    assert began >= min(end for _, _, end in four), "five jobs had GPUs at once"
    assert gpu in range(4)
