"""A real small study, run by Snakemake to its bundle and its Optuna storage; tests work on copies of it."""

import pytest
from workflow import Workspace, study, study_once


def bundle_study():
    """Config of a study whose select part is large enough for an interval of 90 %."""
    config = study(iterations=2, confirm_seeds=2, strategies={"random": {"kind": "random"}, "bo": {"kind": "bo"}})
    # A baseline that every search improves on: it starts 60 °C away and hardly moves.
    config["design"]["space"] |= {"learning_rate": {"default": 1e-5}, "target_scaling": {"default": "none"}}
    config["study"] = "take_home"
    config["title"] = "A study to take home"
    config["design"]["data"]["synthetic"]["proteins"] = 220
    config["design"]["precision"] = "fp32"  # the same bits, whoever predicts
    return config


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The study's workspace."""
    names = ("bundle/take_home.zip", "export/optuna.db", "tables/winners.parquet")
    targets = [f"results/take_home/{name}" for name in names]
    return study_once(tmp_path_factory, "take_home", bundle_study(), lambda space: space.run(targets=targets))


@pytest.fixture
def copy(finished, tmp_path):
    """A study like it, to do something to."""
    return Workspace.copy_of(finished, tmp_path / "space")


@pytest.fixture(scope="session")
def bundle(finished):
    """The study's bundle."""
    return finished.study / "bundle" / "take_home.zip"
