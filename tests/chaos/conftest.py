"""One study, run undisturbed; every fault test starts from a copy of its beginning or of its end.

It has one search without an LLM, which is all that most faults need; the pair has an agent's search beside it.
"""

import shutil

import pytest
from survival import STRATEGIES
from workflow import Workspace, end_processes_in, study, study_once


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Workspace:
    """Data, embedding and protocol are there; no search has begun."""
    return study_once(tmp_path_factory, "prepared", study(strategies={"bo": STRATEGIES["bo"]}), Workspace.prepare)


@pytest.fixture(scope="session")
def undisturbed(prepared, tmp_path_factory) -> Workspace:
    """The whole study, run once without any fault."""
    return study_once(tmp_path_factory, "undisturbed", prepared.config, lambda space: space.run_like(prepared))


@pytest.fixture(scope="session")
def undisturbed_pair(undisturbed, tmp_path_factory) -> Workspace:
    """The same with an agent's search beside it."""
    config = study(strategies=STRATEGIES)
    return study_once(tmp_path_factory, "undisturbed_pair", config, lambda space: space.run_like(undisturbed))


@pytest.fixture
def space_like(tmp_path):
    """Makes a study that goes on from another one; whatever it leaves running ends with the test."""
    made = []

    def make(other: Workspace, **extent) -> Workspace:
        config = {**other.config, "extent": {**other.config["extent"], **extent}}
        space = Workspace(tmp_path / f"space{len(made)}", config)
        space.begin_like(other)
        made.append(space)
        return space

    yield make
    for space in made:
        end_processes_in(space.folder)
        shutil.rmtree(space.folder, ignore_errors=True)
