"""Simulated studies that the tests of this folder share, written once per run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

ALL_PURPOSES = (
    "winner", "baseline", "incumbent", "ablation", "projection", "interaction", "budget", "fraction", "organism",
)  # fmt: skip


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Three strategies, two searches each, everything trained after the search, all tables computed."""
    from make_tables import make_tables
    from simulated_study import train_confirmation, write_study

    study = write_study(
        tmp_path_factory.mktemp("simulated"),
        strategies=["random", "ra", "ua"],
        trajectories=2,
        iterations=8,
        proteins=260,
    )
    train_confirmation(study, purposes=ALL_PURPOSES)
    make_tables(study)
    return study


@pytest.fixture(scope="session")
def read(simulated):
    """A table of the simulated study by name."""
    import polars as pl

    return lambda name: pl.read_parquet(simulated.study / "tables" / f"{name}.parquet")
