"""A simulated study with all its tables, for the tests of evidence and of the report."""

from pathlib import Path

import pytest
from external_set import add_external_set
from make_tables import make_tables
from once import value_once
from simulated_study import SimulatedStudy, train_confirmation, write_study

ALL_PURPOSES = (
    "winner", "baseline", "incumbent", "ablation", "projection", "interaction", "budget", "fraction", "organism",
)  # fmt: skip


def shared_study(factory: pytest.TempPathFactory) -> SimulatedStudy:
    """Three strategies with two searches each."""

    def make(root: Path) -> SimulatedStudy:
        study = write_study(root, strategies=["random", "ra", "ua"], trajectories=2, iterations=8, proteins=260)
        train_confirmation(study, purposes=ALL_PURPOSES)
        add_external_set(study)
        make_tables(study)
        return study

    return value_once(factory, "simulated", make)
