import sys
from pathlib import Path

import pytest
from needs import need

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "evidence"))

from small_studies import Made, make_study


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Made:
    """Three strategies, two searches each, everything confirmed, ablated and retrained."""
    return make_study(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def page(whole, tmp_path_factory) -> Path:
    """Its report."""
    return whole.report(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium."""
    from browser import Browser, find_chromium

    need(find_chromium(), "no Chromium on this machine: make packages")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
