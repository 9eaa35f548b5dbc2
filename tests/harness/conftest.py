import pytest
from small_data import make_small_data


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """(data folder, embedding folder) of a small data set."""
    return make_small_data(tmp_path_factory.mktemp("small"))
