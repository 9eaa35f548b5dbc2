"""Whole studies that real Snakemake runs once, for all tests that only read them or go on from a copy."""

import subprocess
import sys
from typing import Any

import pytest
import yaml
from workflow import REPOSITORY, Workspace, study, study_once

OUTPUT, PLAN = "output.txt", "plan.txt"  # what Snakemake said of the run, and of a dry run before it


def run_whole(space: Workspace) -> None:
    """Run a study to its report, its bundle and its exports."""
    (space.folder / OUTPUT).write_text(space.run(targets=["all"], timeout=1500))


def run_by_tmelt(space: Workspace) -> None:
    """The same by `tmelt study`."""
    command = [sys.executable, "-m", "tmelt", "study", space.config_file, "--cores", "2"]
    done = subprocess.run(
        command, cwd=space.folder, env=space.environment(), capture_output=True, text=True, timeout=1500, check=False
    )
    (space.folder / OUTPUT).write_text(done.stdout)
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}{space.logs()}"


def ci_study(factory: pytest.TempPathFactory) -> Workspace:
    """studies/ci.yaml: every kind of strategy but the controls, everything trained after the searches."""
    config = yaml.safe_load((REPOSITORY / "studies" / "ci.yaml").read_text())
    return study_once(factory, "ci", config, run_whole)


def minimal_config(**extent: Any) -> dict[str, Any]:
    """A sampler and an agent, one trial each, confirmed."""
    strategies = {"random": {"kind": "random"}, "ra": {"kind": "ra", "model": "playbook"}}
    config = study(**{"iterations": 1, "seeds": [0], "confirm_seeds": 1, "strategies": strategies} | extent)
    config["evidence"] = {"purposes": ["winner", "baseline"]}
    return config


def minimal_study(factory: pytest.TempPathFactory) -> Workspace:
    """The study before it grows."""
    return study_once(factory, "minimal", minimal_config(), run_by_tmelt)


def grown_study(factory: pytest.TempPathFactory, minimal: Workspace) -> Workspace:
    """The same with more of everything: iterations, searches, seeds, fresh seeds, and a strategy before the others."""
    strategies = {"bo": {"kind": "bo", "startup": 1}} | minimal.config["extent"]["strategies"]
    config = minimal_config(iterations=2, trajectories=2, seeds=[0, 1], confirm_seeds=2, strategies=strategies)

    def grow(space: Workspace) -> None:
        space.begin_like(minimal)
        (space.folder / PLAN).write_text(space.run("--dry-run", targets=["all"]))
        run_whole(space)

    return study_once(factory, "grown", config, grow)
