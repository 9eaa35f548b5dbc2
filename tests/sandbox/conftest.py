"""The backends that can be had on any machine with what `make packages` installs."""

import pytest
from needs import need_backend


@pytest.fixture(scope="module", params=["bwrap", "landlock"])
def backend(request):
    """Each of them."""
    need_backend(request.param)
    return request.param
