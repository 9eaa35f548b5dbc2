"""Check and try a script while an agent is writing it: short runs in the sandbox that are no trials.

Both see fit and stop alone. What comes back is the script's account of fit and the harness's measurement on stop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from tmelt.harness.run import Harness, Runner, ShortRun, open_sandbox
from tmelt.harness.variation import Variation
from tmelt.search.diagnostics import short_curve, stop_errors
from tmelt.search.history import Proposal
from tmelt.search.knobs import Value
from tmelt.storage.schema import PROTEINS, read_table


@dataclass(frozen=True)
class Tried:
    """Result of a check or a try, and what it used.

    Attributes:
        status: ok, crash, timeout, oom, disk, invalid or tamper.
        reason: one word from the harness's closed list, or None.
        log: the end of what the script printed in fit.
        proteins: of fit that it trained on.
        curve: pairs of epoch and stop MAE in target units, as the script logged them.
        reports: what it passed to task.report.
        stop_errors: as tmelt.search.diagnostics.stop_errors; None unless `status` is ok.
        seconds: by the clock of the time budget.
        cpu_s, device_s: CPU and GPU seconds.
    """

    status: str
    reason: str | None
    log: str
    proteins: int
    curve: Sequence[Sequence[float]] = ()
    reports: Mapping[str, float] = field(default_factory=dict)
    stop_errors: Mapping[str, Any] | None = None
    seconds: float = 0.0
    cpu_s: float = 0.0
    device_s: float = 0.0


class Bench:
    """Short runs for the agents of one study."""

    def __init__(self, harness: Callable[[], Harness]):
        """Open nothing yet.

        Args:
            harness: makes the study's harness, once the first script is to run. A replay runs none.
        """
        self._make = harness

    @cached_property
    def harness(self) -> Harness:
        """The study's harness."""
        return self._make()

    def check(self, script: str, knobs: Mapping[str, Value]) -> Tried:
        """The rehearsal on 64 proteins. A script that is merely slow passes: its status is `timeout`."""
        with open_sandbox(self.harness) as sandbox:
            runner = self._runner(script, knobs, sandbox)
            rows = runner.few_rows()
            return self._tried(runner, runner.short_run("check", rows, runner.rehearsal_s), rows)

    def try_out(self, script: str, knobs: Mapping[str, Value], share: float, seconds: float) -> Tried:
        """Fit on a share of fit for at most so many seconds, and measure on stop.

        Args:
            script: source text.
            knobs: complete.
            share: of the proteins of fit, drawn at random but always the same; stop stays whole.
            seconds: of fit, at most those of the budget.
        """
        is_stop = np.load(self.harness.embedding / "fit" / "is_stop.npy")
        fit = np.flatnonzero(~is_stop)
        count = max(1, round(share * len(fit)))
        few = np.sort(np.random.default_rng(0).permutation(fit)[:count])
        rows = np.concatenate([few, np.flatnonzero(is_stop)])
        with open_sandbox(self.harness) as sandbox:
            runner = self._runner(script, knobs, sandbox)
            return self._tried(runner, runner.short_run("try", rows, min(seconds, runner.fit_s)), rows)

    def _runner(self, script: str, knobs: Mapping[str, Value], sandbox: Any) -> Runner:
        proposal = Proposal(knobs=dict(knobs), script=script, origin="agent")
        return Runner(proposal, self.harness, sandbox, Variation(), 1)

    def _tried(self, runner: Runner, short: ShortRun, rows: np.ndarray) -> Tried:
        is_stop = np.load(self.harness.embedding / "fit" / "is_stop.npy")
        gpu = self.harness.device == "cuda"
        points = [(row["epoch"], row["stop_mae"]) for row in short.curve if row["stop_mae"] is not None]
        return Tried(
            status=short.status,
            reason=short.reason,
            log=short.log,
            proteins=int((~is_stop[rows]).sum()),
            curve=short_curve([points]),
            reports=short.reports,
            stop_errors=None if short.predictions is None else self._measured(runner, short.predictions),
            seconds=round(sum(self.harness.clock.used(outcome) for outcome in runner.outcomes), 3),
            cpu_s=round(sum(outcome.cpu_s for outcome in runner.outcomes), 3),
            device_s=round(sum(outcome.wall_s for outcome in runner.outcomes), 3) if gpu else 0.0,
        )

    def _measured(self, runner: Runner, predictions: np.ndarray) -> dict[str, Any]:
        """Errors of predictions for the pool's early-stopping proteins, in the pool's order."""
        pool = runner.pool.filter(pl.col("role") == "stop").select("protein_id")
        known = read_table(self.harness.proteins, PROTEINS)
        measured = pool.join(known, on="protein_id", how="left", maintain_order="left")
        return stop_errors(measured, predictions[None], self.harness.target.unit)
