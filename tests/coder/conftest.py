"""The simulator and the harness's small data lie beside this folder; every session needs bubblewrap."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "harness"))  # small data for real runs
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "agents"))


@pytest.fixture(autouse=True)
def _bubblewrap():
    from needs import need_backend

    need_backend("bwrap")
