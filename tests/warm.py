"""Open sandboxes that the jobs of many tests share: to start one and import torch in it takes 3 CPU seconds.

Each job has a folder of its own in it, and its phases are as fresh as in a sandbox that a job has to itself: a study's
job forks the phases of all its seeds off one sandbox, too. What concerns the start or the end of a sandbox needs one of
its own.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tmelt.harness.confined import Sandbox
from tmelt.harness.sandbox import Outcome, Phase, remove_tree


class SharedSandboxes:
    """To be put in the place of `Sandbox`: opens one for each combination of arguments, and lends it."""

    def __init__(self) -> None:
        self._opened: dict[tuple[Any, ...], Sandbox] = {}
        self._ends = ExitStack()

    def __call__(self, backend: str, **settings: Any) -> "Lent":
        key = (backend, *sorted(settings.items()))
        if key not in self._opened:
            self._opened[key] = self._ends.enter_context(Sandbox(backend, **settings))
        return Lent(self._opened[key])

    def close(self) -> None:
        """End all of them."""
        self._ends.close()


class Lent:
    """An open sandbox as one job sees it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def __enter__(self) -> "Lent":
        self.folder = Path(tempfile.mkdtemp(prefix="job-", dir=self._sandbox.folder))
        self.folder.chmod(0o755)
        return self

    def run(self, phase: Phase) -> Outcome:
        """As Sandbox.run."""
        return self._sandbox.run(phase)

    def close(self) -> None:
        """Remove the job's folder; the sandbox stays open."""
        remove_tree(self.folder)

    def __exit__(self, *_: object) -> None:
        self.close()
