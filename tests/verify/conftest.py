"""Copies of finished studies to alter, and what is made again from one of them."""

import os

import pytest
from workflow import Workspace

from tmelt.verify.again import Again
from tmelt.verify.place import Place
from tmelt.verify.run import verify_study


@pytest.fixture(scope="session")
def again(ci, tmp_path_factory) -> Again:
    """Its tables and its page, made again."""
    made = Again(Place.of(ci.study), tmp_path_factory.mktemp("again"), 2)
    made.make_tables()
    made.make_report()
    return made


@pytest.fixture
def copy(ci, tmp_path) -> Workspace:
    """A copy of the finished study, to alter."""
    return Workspace.copy_of(ci, tmp_path / "space")


@pytest.fixture
def minimal_copy(minimal, tmp_path) -> Workspace:
    """A copy of a smaller one, for what takes the whole verification."""
    return Workspace.copy_of(minimal, tmp_path / "space")


@pytest.fixture
def verify():
    """Run the whole verification of a study; returns its exit status and its lines."""

    def run(space: Workspace, **options):
        lines: list[str] = []
        status = verify_study(space.study, cores=len(os.sched_getaffinity(0)), say=lines.append, **options)
        return status, lines

    return run
