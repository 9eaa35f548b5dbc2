import sys
from pathlib import Path

import pytest
from once import value_once

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "evidence"))

from shared_study import shared_study
from small_studies import Made, copy_study


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Made:
    """Three strategies, two searches each, everything confirmed, ablated and retrained."""
    simulated = shared_study(tmp_path_factory)
    return value_once(tmp_path_factory, "whole", lambda root: copy_study(simulated, root))


@pytest.fixture(scope="session")
def page(whole, tmp_path_factory) -> Path:
    """Its report."""
    return value_once(tmp_path_factory, "page", whole.report)
