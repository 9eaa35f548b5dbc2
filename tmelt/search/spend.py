"""Budget of a search in device seconds or dollars: what its trials have used, and the stop when that is all of it.

A search is asked before each trial. The trial in which the budget is used up has been trained by then and counts, so
that a search exceeds its budget by less than one trial. What is unknown is not taken for nothing: it stops the search.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tmelt.search.history import History, Proposal, Trial
from tmelt.search.notes import UsedUp
from tmelt.storage.schema import RUN, read_run_table

if TYPE_CHECKING:
    from tmelt.prices.listed import Prices

Unit = Literal["device_s", "usd"]
Limit = tuple[Unit | Literal["trials"], float]  # trials: full ones, where some are cheap (tmelt.search.fidelity)


@dataclass(frozen=True)
class Meter:
    """Counts what trials of one search use, as tmelt.evidence.cost does: trainings and tools, in dollars the calls too.

    Attributes:
        folder: of the search; the runs of its trials name their GPU.
        device: cpu or cuda, of the study.
    """

    folder: Path
    device: str
    unit: Unit

    def used(self, trials: Iterable[Trial]) -> float | None:
        """Return the sum over trials; None if a part of it is unknown."""
        costs = [self.cost(trial) for trial in trials]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def cost(self, trial: Trial) -> float | None:
        """Return what one trial used; None if that is unknown."""
        row = trial.row
        name = "cpu_s" if self.device == "cpu" else "device_s"
        trained, tools = row[name] or 0.0, row[f"tool_{name}"] or 0.0
        if self.unit == "device_s":
            return trained + tools
        compute = self._on_gpu(trial, tools) if self.device != "cpu" else self._usd(trained + tools, "cpu")
        return None if compute is None or row["cost_usd"] is None else compute + row["cost_usd"]

    def _on_gpu(self, trial: Trial, tools: float) -> float | None:
        runs = [self._run(trial.iteration, seed) for seed in trial.seeds]
        parts = [self._usd(run["device_s"] or 0.0, run["device"]) for run in runs]
        if tools:
            parts.append(self._usd(tools, self._run(0, trial.seeds[0])["device"] if trial.seeds else None))
        return None if None in parts else sum(part for part in parts if part is not None)

    def _run(self, iteration: int, seed: int) -> Mapping[str, Any]:
        return read_run_table(self.folder / f"i{iteration}" / f"s{seed}" / "run.parquet", RUN).row(0, named=True)

    def _usd(self, seconds: float, device: str | None) -> float | None:
        if not seconds:
            return 0.0
        hour = self._prices.hour(device) if device else None
        return None if hour is None else seconds / 3600 * hour

    @cached_property
    def _prices(self) -> "Prices":
        from tmelt.prices.listed import read_prices

        return read_prices()

    def words(self, amount: float) -> str:
        """Return an amount with its unit."""
        if self.unit == "usd":
            return f"${amount:.4g}"
        return f"{amount:.6g} {'CPU core' if self.device == 'cpu' else 'GPU'} seconds"


def left_in_words(history: History, meter: Meter, limit: float) -> str:
    """Return what is left of the budget, for agents."""
    used = meter.used(history) or 0.0
    return f"{meter.words(max(0.0, limit - used))} are left of {meter.words(limit)}"


def stop_if_used_up(history: History, meter: Meter, limit: float) -> Proposal | None:
    """Return a stop if the search has used its budget or cannot know what it used; None if it may go on.

    Args:
        history: all earlier trials, not empty.
        limit: the budget, in the meter's unit.
    """
    used = meter.used(history)
    if used is None:
        unknown = next(trial.iteration for trial in history if meter.cost(trial) is None)
        reason = (
            f"the budget is {meter.words(limit)}, and what trial {unknown} cost is unknown: its LLM calls have no known"
            " usage or price, or its GPU has no price; use extent.until.device_s"
        )
    elif used < limit:
        return None
    else:
        reason = f"used {meter.words(used)} of {meter.words(limit)}"
    return stop_used_up(history, reason, UsedUp(unit=meter.unit, limit=limit, used=used))


def stop_used_up(history: History, reason: str, used: UsedUp) -> Proposal:
    """Return the stop of a search whose budget is used up."""
    last = history[-1]
    return Proposal(
        knobs=last.knobs,
        script="",
        origin=last.origin,
        status="stopped",
        parent=last.parent,
        error=reason,
        state=(used,),
    )


def circumstances(limit: Limit) -> list[Any]:
    """Return what a stop by this budget depends on."""
    if limit[0] != "usd":
        return [*limit]
    from tmelt.prices.listed import read_prices

    return [*limit, read_prices().version]
