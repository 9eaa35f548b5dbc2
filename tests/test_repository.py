"""Files about the repository agree with each other and with the project they describe."""

import re
import subprocess
import sys
import tomllib
from collections import Counter

import pytest
import yaml
from test_config import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_version_and_licence_are_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert (ROOT / "LICENSE").read_text().startswith(f"{PROJECT['license']} License\n")
    newest = re.search(r"^## .*", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and PROJECT["version"] in newest[0]


def test_github_runs_what_ci_runs_with_pinned_actions():
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == ".ci/run"
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert actions and all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action) for action in actions)


def test_hooks_run_programs_of_the_environment():
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    programs = {hook["entry"].split()[0] for hook in local["hooks"]}
    assert local["repo"] == "local" and {hook["language"] for hook in local["hooks"]} == {"system"}
    assert all(re.fullmatch(r"\.venv/bin/\w+", program) for program in programs)


def test_modules_of_tests_have_different_names():
    """Of two modules with one name outside packages pytest imports the first and refuses the second."""
    paths = [path for path in (ROOT / "tests").rglob("test_*.py") if not (path.parent / "__init__.py").exists()]
    counts = Counter(path.name for path in paths)
    assert [name for name, count in counts.items() if count > 1] == []


def plan(snakefile, folder):
    """Jobs per rule of the default study, as a dry run counts them."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "-n", "--profile", "profiles/default"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))


@pytest.mark.slow
def test_the_catalogs_snakefile_plans_the_same_study(tmp_path):
    for name in ("Snakefile", "rules", "scripts", "profiles", "envs", "report", "workflow", "config.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    own, catalogs = plan("Snakefile", tmp_path), plan("workflow/Snakefile", tmp_path)
    assert own.pop("all") == catalogs.pop("study") == "1"
    assert own == catalogs
    assert own["write_report"] == "1"


def pins(name):
    """Package: version of a lock."""
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("name", ["requirements-docs.lock", "requirements-test.lock"])
def test_a_further_lock_repeats_nothing_of_the_first(name):
    """Both are installed over requirements.lock, without dependencies: they may not change what it pins."""
    first = {re.sub(r"[-_.]+", "-", package).lower() for package in pins("requirements.lock")}
    further = {re.sub(r"[-_.]+", "-", package).lower() for package in pins(name)}
    assert further and not further & first
