"""Errors as agents are told them: no finer than the noise of the comparison that they are for.

Every number that a script earns is a measurement of the hidden labels, and an agent may write scripts that measure
them on purpose. What it learns of a trial is therefore its mean over the seeds, its margin and the decision. Numbers
are rounded to the smallest step of 1, 2, 5, 10, 20, … hundredths that is at least half the trial's margin, and at least
FINEST. At the default z of 1.8 half a margin is 0.9 standard errors of the difference: what is lost by rounding could
not be told from luck. What rounding does not do is hide the labels: see `tests/agents/test_leak.py`. Strategies without
an LLM are no adversaries and keep hundredths of the mean.
"""

from tmelt.search.history import Trial

FINEST = 5  # hundredths of the target's unit; the step where nothing was compared, as for the baseline
_GRID = [mantissa * 10**exponent for exponent in range(7) for mantissa in (1, 2, 5)]  # hundredths


def step_of(margin: float | None) -> int:
    """Hundredths of the target's unit to which the errors of a trial with this margin are rounded."""
    least = max(FINEST, 0.0 if margin is None else 50 * margin - 1e-9)
    return next((step for step in _GRID if step >= least), _GRID[-1])


def coarse(value: float, margin: float | None) -> float:
    """An error, rounded to the step of a trial with this margin."""
    step = step_of(margin)
    return round(round(100 * value / step) * step / 100, 2)


def told_mae(trial: Trial) -> float:
    """The validation MAE of a successful trial as an agent is told it."""
    return coarse(trial.val_mae, trial.margin)


def told_margin(trial: Trial) -> float | None:
    """A trial's margin as an agent is told it, rounded up to the step; None if nothing was compared."""
    if trial.margin is None:
        return None
    step = step_of(trial.margin)
    return -int(-(100 * trial.margin) // step) * step / 100
