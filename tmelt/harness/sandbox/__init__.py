"""Run untrusted code: candidates written by a model, beside people's keys, labels and results.

    with Sandbox("auto", entry="module:function", read=(fit_view, pool_view), folder=job_folder) as sandbox:
        outcome = sandbox.run(Phase(spec, read=(script, fit_view), write=(checkpoint,), limits=Limits(...)))

Who starts whom, from trusted to not:

    harness (Sandbox)   any process; hands over phases, waits for their outcomes (sandbox.py)
    └ supervisor        own session; ends everything when the harness is gone; enforces the limits from outside
                        (supervisor.py; one phase: supervise.py; a worker as it sees it: worker_process.py)
      └ worker          clean environment, inside bubblewrap where there is one; imports torch once; runs no candidate
                          (worker.py; how each backend starts one: backends.py)
        └ keeper        one per phase, a fork; collects the phase's orphans (worker.py)
          └ child       a fork; confines itself (confine.py, landlock.py, seccomp.py), then calls the entry with the
                              phase's spec

Everything here needs the standard library alone, and nothing else of tmelt: tmelt.harness.confined is its user.
"""

from tmelt.harness.sandbox.backends import refuse_exposed
from tmelt.harness.sandbox.disk import remove_tree
from tmelt.harness.sandbox.errors import Accident, Refusal, SandboxUnavailable
from tmelt.harness.sandbox.phase import Limits, Outcome, Phase
from tmelt.harness.sandbox.sandbox import Sandbox, choose_backend

__all__ = [
    "Accident",
    "Limits",
    "Outcome",
    "Phase",
    "Refusal",
    "Sandbox",
    "SandboxUnavailable",
    "choose_backend",
    "refuse_exposed",
    "remove_tree",
]
