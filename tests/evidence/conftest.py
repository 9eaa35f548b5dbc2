"""The simulated study that the tests of this folder share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Three strategies, two searches each, everything trained after the search, all tables computed."""
    from shared_study import shared_study

    return shared_study(tmp_path_factory)


@pytest.fixture(scope="session")
def read(simulated):
    """A table of the simulated study by name."""
    import polars as pl

    return lambda name: pl.read_parquet(simulated.study / "tables" / f"{name}.parquet")
