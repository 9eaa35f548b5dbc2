"""Which options are in force with each profile: Snakemake lays profiles/default over any other."""

import json
import subprocess
import sys

import pytest
from workflow import REPOSITORY

PARSE = """
import json, sys
from snakemake.cli import parse_args
_, args = parse_args(None)
names = ("executor", "cores", "jobs", "resources", "retries", "keep_incomplete", "rerun_triggers", "set_resources")
print(json.dumps({name: getattr(args, name) for name in names}, default=str))
"""


def options(*arguments: str) -> dict:
    """Snakemake's options for a command line in the repository."""
    done = subprocess.run(
        [sys.executable, "-c", PARSE, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("arguments", [(), ("--profile", "profiles/default")])
def test_this_machine_gives_all_its_cores(arguments):
    chosen = options(*arguments)
    assert chosen["cores"] >= 1
    assert "gpu" in chosen["resources"]


@pytest.mark.parametrize("arguments", [("--profile", "slurm"), ("--profile=slurm",)])
def test_slurm_is_not_throttled_by_this_machine(arguments):
    chosen = options(*arguments)
    assert chosen["executor"] == "slurm"
    assert chosen["cores"] is None
    assert "100" in chosen["resources"]
    assert "train_trial" in chosen["set_resources"]


@pytest.mark.parametrize("arguments", [(), ("--profile", "slurm"), ("--executor", "slurm", "--jobs", "2")])
def test_finished_work_is_safe_with_every_profile(arguments):
    chosen = options(*arguments)
    assert chosen["keep_incomplete"] is True
    assert sorted(str(trigger).lower() for trigger in chosen["rerun_triggers"]) == sorted(
        str(trigger).lower() for trigger in options("--profile", "profiles/default")["rerun_triggers"]
    )
