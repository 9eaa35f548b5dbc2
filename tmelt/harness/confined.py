"""The sandbox as tmelt uses it: with the harness's own entry, and with tmelt's errors.

The package tmelt.harness.sandbox imports nothing of tmelt.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tmelt.errors import InfrastructureError, InputError
from tmelt.harness import sandbox

ENTRY = "tmelt.harness.inside:run_phase"


class Sandbox(sandbox.Sandbox):
    """A sandbox whose phases are those of a run; arguments as those of `tmelt.harness.sandbox.Sandbox`.

    Raises:
        InputError: no backend, or not the one asked for, works on this host.
        InfrastructureError: on entry, when the sandbox was killed or the machine lacked memory while it started.
    """

    def __init__(self, backend: str = "auto", **options: object):
        with _own_errors():
            super().__init__(backend, **({"entry": ENTRY} | options))  # type: ignore[arg-type]

    def __enter__(self) -> "Sandbox":
        with _own_errors():
            super().__enter__()
        return self


def refuse_exposed(*hidden: Path) -> None:
    """Refuse to start where every phase could read one of these files or folders.

    Raises:
        InputError: the path and the place.
    """
    with _own_errors():
        sandbox.refuse_exposed(*hidden)


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except sandbox.Refusal as refusal:
        raise InputError(str(refusal)) from None
    except sandbox.Accident as accident:
        raise InfrastructureError(str(accident)) from None
