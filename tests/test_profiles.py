"""Which options are in force with each profile: Snakemake lays profiles/default over any other."""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workflow import REPOSITORY

pytestmark = pytest.mark.slow  # each test starts Snakemake: 1.4 CPU seconds

PARSE = """
import json, sys
from snakemake.cli import parse_args
_, args = parse_args(None)
names = ("executor", "cores", "jobs", "resources", "retries", "keep_incomplete", "rerun_triggers", "set_resources",
         "default_resources", "slurm_no_account", "slurm_status_command")
def plain(it):
    return it.raw if hasattr(it, "raw") else dict(it.items()) if hasattr(it, "items") else str(it)
print(json.dumps({name: getattr(args, name, None) for name in names}, default=plain))
"""


@functools.cache
def options(*arguments: str, folder: Path = REPOSITORY) -> dict:
    """Snakemake's options for a command line in a folder with profiles."""
    done = subprocess.run([sys.executable, "-c", PARSE, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
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
    assert chosen["resources"]["gpu"] == 100
    assert "train_trial" in chosen["set_resources"]


@pytest.mark.parametrize("arguments", [(), ("--profile", "slurm"), ("--executor", "slurm", "--jobs", "2")])
def test_finished_work_is_safe_with_every_profile(arguments):
    chosen = options(*arguments)
    assert chosen["keep_incomplete"] is True
    assert sorted(str(trigger).lower() for trigger in chosen["rerun_triggers"]) == sorted(
        str(trigger).lower() for trigger in options("--profile", "profiles/default")["rerun_triggers"]
    )


# The sites of profiles/slurm/README.md: what each edits at the top of the profile, and what must be in force then.
NO_ACCOUNTING = "slurm-status-command: squeue"
SITES = {
    "a plain cluster": (
        {'  account: ""': "  account: proteins", "  partition: cpu": "  partition: short"},
        {"default": ["slurm_account", "proteins", "short"], "train_trial": ["gpu"], "propose_by_agent": ["cpu"]},
    ),
    "GPUs of several types": (
        {'  gpu_model: ""': "  gpu_model: a100", '  qos: ""': "  qos: gpu_long"},
        {"default": ["gpu_long"], "train_trial": ["gpu_model", "a100"], "embed_shard": ["gpu_model", "a100"]},
    ),
    "without accounting": (
        {NO_ACCOUNTING: f"{NO_ACCOUNTING}\nslurm-no-account: true"},
        {"default": ["cpu"], "train_trial": ["gpu"]},
    ),
    "CPU nodes only": (
        {"  train_partition: gpu": "  train_partition: cpu"},
        {"train_trial": ["cpu"], "embed_shard": ["cpu"]},
    ),
}


@pytest.mark.parametrize("site", SITES)
def test_a_sites_edits_are_in_force(tmp_path, site):
    edits, expected = SITES[site]
    shutil.copytree(REPOSITORY / "profiles", tmp_path / "profiles")
    (tmp_path / "slurm").symlink_to("profiles/slurm")
    profile = tmp_path / "profiles" / "slurm" / "config.yaml"
    text = profile.read_text()
    for line, edited in edits.items():
        assert text.count(f"{line} ") == 1 or text.count(f"{line}\n") == 1, f"{line!r} is not in the profile any more"
        text = text.replace(line, edited, 1)
    profile.write_text(text)
    (tmp_path / "Snakefile").touch()
    chosen = options("--profile", "slurm", folder=tmp_path)
    assert chosen["slurm_status_command"] == "squeue"
    assert (chosen["slurm_no_account"] is True) == (site == "without accounting")
    for where, words in expected.items():
        found = str(chosen["default_resources"] if where == "default" else chosen["set_resources"][where])
        assert all(word in found for word in words), (where, found)
    if site != "GPUs of several types":
        assert "gpu_model" not in str(chosen["set_resources"])


def test_every_site_of_the_readme_is_tested():
    described = (REPOSITORY / "profiles" / "slurm" / "README.md").read_text().lower()
    sites = described.partition("## sites")[2].partition("\n## ")[0]
    assert sites.count("\n**") == len(SITES)
    for site in SITES:
        assert f"**{site.lower()}" in sites
