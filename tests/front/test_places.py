"""The workflow from elsewhere: another folder, a module, an installed wheel; dry runs (a real run: test_study.py)."""

import os
import re
import runpy
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


def test_as_a_module(folder):
    (folder / "Snakefile").write_text(MODULE.format(snakefile=REPOSITORY / "Snakefile"))
    check_scripts(planned(folder, "-n", "-p", "--cores", "1"), folder)


@pytest.mark.slow
def test_an_installed_wheel_has_the_workflow(folder):
    source, prefix = folder / "source", folder / "prefix"
    source.mkdir()
    for name in runpy.run_path(str(REPOSITORY / "scripts" / "write_envs.py"))["PACKAGED"]:  # as the image is made, too
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, source / name)
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
    code = "from tmelt.front.workflow import workflow_folder; print(workflow_folder())"
    environment = os.environ | {"PYTHONPATH": str(prefix / "lib/python/site-packages")}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(prefix / "share" / "tmelt"), done.stderr
    for pattern in ("Snakefile", "rules/*.smk", "scripts/*.py", "profiles/*/config.yaml", "envs/*", "report/*"):
        for path in REPOSITORY.glob(pattern):
            assert (prefix / "share" / "tmelt" / path.relative_to(REPOSITORY)).exists(), path


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
