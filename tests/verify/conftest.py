"""Finished small studies to verify, and copies of them to alter."""

import os

import pytest
from workflow import Workspace, made_once, study

from tmelt.verify.again import Again
from tmelt.verify.place import Place
from tmelt.verify.run import verify_study

STRATEGIES = {
    "random": {"kind": "random"},
    "bo": {"kind": "bo", "startup": 1},
    "ra": {"kind": "ra", "model": "playbook"},
    "ua": {"kind": "ua", "model": "playbook"},
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workspace:
    """Four strategies with two seeds, confirmed, with bundle and report."""
    config = study(iterations=2, seeds=[0, 1], confirm_seeds=1, strategies=STRATEGIES)
    config["evidence"] = {"purposes": ["winner", "baseline"]}
    return made_once(tmp_path_factory, "finished", config, lambda space: space.run(targets=["all"], timeout=1100))


@pytest.fixture(scope="session")
def again(finished, tmp_path_factory) -> Again:
    """Its tables and its page, made again."""
    made = Again(Place.of(finished.study), tmp_path_factory.mktemp("again"), 2)
    made.make_tables()
    made.make_report()
    return made


@pytest.fixture
def copy(finished, tmp_path) -> Workspace:
    """A copy of the finished study, to alter."""
    return Workspace.copy_of(finished, tmp_path / "space")


@pytest.fixture
def verify():
    """Run the whole verification of a study; returns its exit status and its lines."""

    def run(space: Workspace, **options):
        lines: list[str] = []
        status = verify_study(space.study, cores=len(os.sched_getaffinity(0)), say=lines.append, **options)
        return status, lines

    return run
