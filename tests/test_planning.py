"""Planning of long searches: the largest block is within Snakemake's recursion limit."""

import pytest
from workflow import Workspace, study

from tmelt.errors import InputError
from tmelt.study.config import parse_config


@pytest.mark.slow
def test_a_thousand_iterations_in_the_largest_blocks(tmp_path):
    space = Workspace(tmp_path / "space", study(iterations=1000, seeds=[0, 1, 2], runtime={"block": 100}))
    assert "score_trial" in space.run("--dry-run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "seeds_per_job", "threads"), [("cuda", "all", 6), ("cuda", 1, 2), ("cpu", "all", 2)]
)
def test_seeds_that_share_a_gpu_have_a_core_each(tmp_path, device, seeds_per_job, threads):
    config = study(seeds=[0, 1, 2], runtime={"seeds_per_job": seeds_per_job, "threads": 2})
    config["design"]["device"] = device
    asked = ["--dry-run", "--cores", "8", "--resources", "gpu=1", "--quiet", "host"]
    plan = Workspace(tmp_path / "space", config).run(*asked)
    jobs = [job for job in plan.split("\nrule ")[1:] if job.startswith(("train_trial:", "train_run:"))]
    assert len(jobs) == (2 if seeds_per_job == "all" else 6)  # two trials
    for job in jobs:
        assert f"threads: {threads}\n" in job
        assert ("gpu=1" in job) == (device == "cuda")


def test_larger_blocks_are_refused():
    with pytest.raises(InputError, match="block"):
        parse_config(study(runtime={"block": 101}))
