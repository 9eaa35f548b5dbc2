"""The workflow from elsewhere: another folder, a module, an installed wheel; dry runs (a real run: test_study.py)."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from workflow import REPOSITORY, SMALLEST

from tmelt.errors import InputError
from tmelt.front import workflow
from tmelt.front.workflow import is_local, snakemake_arguments

MODULE = """
configfile: "study.yaml"

module tmelt:
    snakefile: "{snakefile}"
    config: config

use rule * from tmelt as tmelt_*

rule everything:
    default_target: True
    input: rules.tmelt_all.input
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(SMALLEST))
    return tmp_path


def planned(folder, *arguments, program=("-m", "snakemake")):
    """Scripts of the jobs that a dry run plans, by their paths as the jobs name them."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, *program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return set(re.findall(r"python (\S+\.py)", done.stdout))


def check_scripts(found, folder):
    assert len(found) > 15
    for name in found:
        assert (folder / name).is_file(), name


def test_from_another_folder(folder):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    snakefile, profile = REPOSITORY / "Snakefile", REPOSITORY / "profiles" / "default"
    words = ["-s", snakefile, "-d", elsewhere, "--profile", profile, "--configfile", folder / "study.yaml"]
    check_scripts(planned(folder, *map(str, words), "--quiet", "host", "-n", "-p"), elsewhere)


@pytest.mark.slow
def test_in_the_checkout_the_names_are_as_ever():
    words = ["--configfile", "studies/ci.yaml", "--config", "study=nothing", "--quiet", "host", "-n", "-p"]
    found = planned(REPOSITORY, *words)
    assert found and all(name.startswith("scripts/") for name in found)


def test_as_a_module(folder):
    (folder / "Snakefile").write_text(MODULE.format(snakefile=REPOSITORY / "Snakefile"))
    check_scripts(planned(folder, "-n", "-p", "--cores", "1"), folder)


@pytest.mark.slow
def test_an_installed_wheel_has_the_workflow(folder):
    source, prefix = folder / "source", folder / "prefix"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if not name.startswith(("tests/", "benchmarks/")) and (REPOSITORY / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    made = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), "."]
    subprocess.run(made, cwd=source, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:  # as an installer puts it, beside the packages that are there
        for name in archive.namelist():
            inside = name.partition(".data/data/")[2]
            target = prefix / (inside or f"lib/python/site-packages/{name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
    packages = str(prefix / "lib/python/site-packages")
    code = f"import sys; sys.path.insert(0, {packages!r}); from tmelt.cli import main; main()"
    found = planned(folder, "study", "study.yaml", "--", "--dry-run", "-p", program=("-c", code))
    check_scripts(found, folder)
    assert all(name.startswith("prefix/share/tmelt/scripts/") for name in found)


def test_a_package_without_the_workflow_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "PACKAGE", tmp_path / "lib" / "python" / "site-packages" / "tmelt")
    with pytest.raises(InputError, match=r"no Snakefile.*clone the repository"):
        workflow.workflow_folder()


def test_profiles_are_found_by_name_and_by_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def profile(name):
        words = snakemake_arguments(tmp_path / "study.yaml", None, name, [])
        return words[words.index("--profile") + 1]

    assert profile(None) == str(REPOSITORY / "profiles" / "default")
    assert profile("slurm") in (str(REPOSITORY / "slurm"), str(REPOSITORY / "profiles" / "slurm"))
    (tmp_path / "config.yaml").touch()
    assert profile(str(tmp_path)) == str(tmp_path)
    with pytest.raises(InputError, match="--profile: nothing"):
        profile("nothing")
    assert is_local(None, []) and not is_local("slurm", []) and not is_local(None, ["--executor=slurm"])
