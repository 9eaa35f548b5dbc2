"""Keep or discard: whether a trial's candidate replaces the incumbent, given the noise between training seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tmelt.errors import InputError
from tmelt.history import History

TOLERANCE = 1e-9  # °C; two means of hundredths that differ by less are the same number
SIZE_DIGITS = 2  # MB; smaller differences between checkpoints are packaging, not a simpler model


def decide(history: History, row: Mapping[str, Any], z: float) -> tuple[str, int | None]:
    """What the trial means for the search: (`baseline`, `keep`, `inconclusive` or `discard`; incumbent after it).

    The candidate and the incumbent are compared by their mean validation MAE over the n training seeds that both
    have. With the seed noise s (`seed_noise`), the standard error of the difference is s·√(2/n), and the margin is
    z standard errors:

    - lower by more than the margin: `keep`, the candidate is the incumbent;
    - inside the margin: `inconclusive`, the simpler one is the incumbent (`complexity`); the candidate only if its
      mean lies at most one margin above that of the best incumbent so far (the anchor), so that a chain of swaps
      cannot drift away;
    - otherwise, or if a run failed: `discard`.

    Without a margin (z = 0, or no trial with two seeds) this is strict improvement. Trial 0 is `baseline`; if it
    failed there is no incumbent until the first trial that succeeds, which is kept.

    Args:
        history: the trials before this one.
        row: the trial, with at least the columns of tmelt.schema.TRIAL that are read here; `decision`, `incumbent`
            and `chain` are not.
        z: how many standard errors count as a difference; `design.decision.z` of the config.

    Raises:
        InputError: the trial and the incumbent have no training seed in common.
    """
    iteration, ok = row["iteration"], row["status"] == "ok"
    held = history.incumbent
    if iteration == 0:
        return "baseline", (0 if ok else None)
    if not ok:
        return "discard", (held.iteration if held else None)
    if held is None:
        return "keep", iteration

    noise = seed_noise([*(trial.row for trial in history), row])
    difference, margin = _compare(row, held.row, noise, z)
    if difference < -margin - TOLERANCE:
        return "keep", iteration
    if margin == 0 or difference > margin + TOLERANCE:
        return "discard", held.iteration
    anchor = _best_incumbent(history)
    above, anchor_margin = _compare(row, history[anchor].row, noise, z)
    if complexity(row) < complexity(held.row) and above <= anchor_margin + TOLERANCE:
        return "inconclusive", iteration
    return "inconclusive", held.iteration


def seed_noise(rows: Sequence[Mapping[str, Any]]) -> float:
    """The typical standard deviation in °C between training seeds of one candidate; 0 where it cannot be known.

    Pooled over all successful trials with at least two seeds. Trial i has the variance v_i over its seeds, with
    f_i = seeds − 1 degrees of freedom; v_i / σ² is distributed as χ²(f_i) / f_i, whose median is close to
    m(f) = (1 − 2 / (9 f))³ (Wilson and Hilferty, 1931). The estimate is

        s² = median over i, weighted by f_i, of v_i / m(f_i).

    The median and not the mean: a search meets candidates that all but diverge, and one whose seeds lie 10 °C apart
    would, in a mean of variances, make every later difference look like noise.
    """
    variances: list[tuple[float, int]] = []
    for row in rows:
        values = row["val_mae_by_seed"] or []
        if row["status"] != "ok" or len(values) < 2:
            continue
        mean, freedom = math.fsum(values) / len(values), len(values) - 1
        variance = math.fsum((value - mean) ** 2 for value in values) / freedom
        variances.append((variance / (1 - 2 / (9 * freedom)) ** 3, freedom))
    if not variances:
        return 0.0
    return math.sqrt(_weighted_median(sorted(variances)))


def complexity(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """What makes a candidate simpler than another, in this order: its checkpoint in MB, as measured; its trainable
    parameters, as it reports them; the lines of its script. What is unknown counts as largest."""
    megabytes = row["checkpoint_mb"]
    known = (None if megabytes is None else round(megabytes, SIZE_DIGITS), row["parameter_count"], row["script_lines"])
    return tuple(math.inf if value is None else value for value in known)  # type: ignore[return-value]  # three values


def _weighted_median(pairs: Sequence[tuple[float, int]]) -> float:
    """Median of sorted (value, weight) pairs: where half of the weight lies on either side."""
    half, below = sum(weight for _, weight in pairs) / 2, 0
    for position, (value, weight) in enumerate(pairs):
        below += weight
        if below == half:
            return (value + pairs[position + 1][0]) / 2
        if below > half:
            return value
    raise AssertionError("no weight")


def _compare(row: Mapping[str, Any], other: Mapping[str, Any], noise: float, z: float) -> tuple[float, float]:
    """(mean of `row` − mean of `other`, margin) in °C over the training seeds that both have."""
    ours = dict(zip(row["seeds"], row["val_mae_by_seed"], strict=True))
    theirs = dict(zip(other["seeds"], other["val_mae_by_seed"], strict=True))
    common = ours.keys() & theirs.keys()
    if not common:
        raise InputError(
            f"trials {row['iteration']} and {other['iteration']} have no training seed in common;"
            " extent.seeds may only grow"
        )
    count = len(common)
    difference = (math.fsum(ours[seed] for seed in common) - math.fsum(theirs[seed] for seed in common)) / count
    return difference, z * noise * math.sqrt(2 / count)


def _best_incumbent(history: History) -> int:
    """The trial with the lowest mean among all that have been incumbent."""
    incumbents = {trial.incumbent for trial in history} - {None}
    return min(incumbents, key=lambda iteration: (history[iteration].val_mae, iteration))
