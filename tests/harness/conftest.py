import pytest
from small_data import make_small_data
from warm import SharedSandboxes

from tmelt.harness.sandbox import Sandbox


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """(data folder, embedding folder) of a small data set."""
    return make_small_data(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def shared_sandboxes():
    shared = SharedSandboxes()
    yield shared
    shared.close()


@pytest.fixture
def warm_sandbox(shared_sandboxes, monkeypatch):
    """The runs of this test share a sandbox with those of others in its file."""
    for module in ("tmelt.harness.run", "tmelt.bundle.ensemble"):
        monkeypatch.setattr(f"{module}.Sandbox", shared_sandboxes)


@pytest.fixture
def own_sandbox(warm_sandbox, monkeypatch):
    """Its runs have a sandbox of their own after all."""
    monkeypatch.setattr("tmelt.harness.run.Sandbox", Sandbox)
