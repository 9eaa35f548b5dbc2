"""The example package, installed by pip, keeps the contract and takes part in a real study up to its report."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workflow import REPOSITORY, Workspace, study

EXAMPLE = REPOSITORY / "examples" / "hill_climb"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder that pip installed the package into, from a copy: a build leaves files beside the source."""
    source = tmp_path_factory.mktemp("source") / "hill_climb"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return target


def environment(installed: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{installed}", "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_the_example_keeps_the_contract(installed):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE)]
    done = subprocess.run(command, env=environment(installed), capture_output=True, text=True, cwd=EXAMPLE)
    assert done.returncode == 0 and "12 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_a_study_runs_the_example_up_to_the_report(installed, tmp_path):
    class Extended(Workspace):
        def environment(self):
            return {**super().environment(), "PYTHONPATH": environment(installed)["PYTHONPATH"]}

    strategies = {"climb": {"kind": "hill_climb", "step": 0.5}, "random": {"kind": "random"}}
    space = Extended(tmp_path, study(strategies=strategies, iterations=2))
    space.run(targets=[])
    described = json.loads((space.study / "climb" / "strategy.json").read_text())
    assert described["package"] == "tmelt-hill-climb 0.1.0" and described["kind"] == "hill_climb"
    proposal = json.loads((space.study / "climb" / "t0" / "i2" / "proposal.json").read_text())
    assert proposal["origin"] == "step" and proposal["state"][0]["kind"] == "own"
    page = next((space.study / "report").glob("*.html")).read_text()
    assert page.index("random") < page.index("climb")

    strategies["climb"]["steps"] = 3
    wrong = Extended(tmp_path / "wrong", study(strategies=strategies))
    process = subprocess.run(
        wrong.command("--dry-run"), cwd=wrong.folder, env=wrong.environment(), capture_output=True, text=True
    )
    assert process.returncode != 0 and "extent.strategies.climb.steps" in process.stdout + process.stderr
