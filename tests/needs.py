"""Tests that cannot run here: skipped on a person's machine, a failure where everything is installed for them.

`make test` installs what the tests need and says so by TMELT_ALL=1; continuous integration says so by CI. What no
package brings (a GPU, the right to mount, root) stays a plain skip.
"""

import os

import pytest

from tmelt.harness.sandbox import backends

OFF = ("", "0", "false", "no")


def need(there: object, reason: str) -> None:
    """Fail where everything is expected to be there and this is not; elsewhere skip.

    Args:
        there: true if the test can run.
        reason: what is missing, and what to do.
    """
    if there:
        return
    if any(os.environ.get(name, "").lower() not in OFF for name in ("CI", "TMELT_ALL")):
        pytest.fail(f"{reason} (CI or TMELT_ALL is set: nothing that can be installed may be missing)", pytrace=False)
    pytest.skip(reason)


def need_backend(backend: str) -> None:
    """`need` for a backend of the sandbox; a kernel is nothing that can be installed."""
    lack = backends.missing(backend, None)
    if backend == "bwrap":
        need(not lack, f"{lack}: make packages")
    elif lack:
        pytest.skip(f"{lack}: try a newer one")
