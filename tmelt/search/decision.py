"""Keep or discard: whether a trial's candidate replaces the incumbent, given the noise of seeds and of proteins."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tmelt.errors import InputError
from tmelt.search.families import Families
from tmelt.search.history import History

TOLERANCE = 1e-9  # target units; two means of hundredths that differ by less are the same number
SIZE_DIGITS = 2  # MB; smaller differences between checkpoints are packaging, not a simpler model


@dataclass(frozen=True)
class Rule:
    """What counts as a difference; `design.decision` of the config.

    Attributes:
        z: standard errors that count as a difference, as of a normal distribution; few degrees of freedom are
            accounted for by `quantile`.
        seed_sd: standard deviation between training seeds that is assumed as long as no trial has two seeds.
    """

    z: float
    seed_sd: float


@dataclass(frozen=True)
class Validation:
    """Validation errors of one search by protein. They stay with the harness: no row of the history holds any.

    Attributes:
        errors: (iteration, training seeds) → (seeds, proteins) absolute errors in target units of that trial's runs.
        families: of the proteins.
    """

    errors: Callable[[int, Sequence[int]], np.ndarray]
    families: Families


class Decision(NamedTuple):
    """What a trial means for its search.

    Attributes:
        decision: baseline, keep, inconclusive, discard or partial.
        incumbent: the incumbent after the trial, or None.
        difference: mean validation MAE minus that of the incumbent before; None where nothing was compared.
        margin: what a difference has to exceed, in target units; None where nothing was compared.
    """

    decision: str
    incumbent: int | None
    difference: float | None = None
    margin: float | None = None


def decide(history: History, row: Mapping[str, Any], rule: Rule, validation: Validation) -> Decision:
    """Decide whether the trial's candidate replaces the incumbent.

    The candidate and the incumbent are compared by their mean validation MAE over the n training seeds that both
    have. Two things make that difference uncertain:

    - the training seeds: with the noise s between the seeds of one candidate (`seed_noise`) the variance is s² / n for
      each side, or 0 for one whose runs are equal for all its seeds; it has as many degrees of freedom as s was
      estimated from. While no trial has two seeds, s is `rule.seed_sd`;
    - the validation proteins: the cluster-robust variance of the mean over proteins of the paired differences of
      absolute errors (`Families.variance`), less what differs between the seeds by protein, which s holds already.

    The margin is z standard errors, for few degrees of freedom as many more as Student's t asks for. The two parts
    are added as Howe (1974) does: margin² = Σ q(z, fᵢ)² Vᵢ. Then a candidate that is

    - lower by more than the margin is a `keep`: it is the incumbent;
    - inside the margin is `inconclusive`: the simpler one is the incumbent (`complexity`); the candidate only if its
      mean is not above that of the best incumbent so far (the anchor). If it might lie above by a margin, a search
      would drift: with margins as wide as they have to be, 100 trials then ended worse than they began
      (benchmarks/README.md);
    - otherwise, or if a run failed, a `discard`.

    A cheap trial (fidelity below 1) that ended ok is `partial`: it is compared with no trial, is never the incumbent,
    and its seeds say nothing about the noise of full trainings.

    With z = 0 this is strict improvement. Trial 0 is `baseline`; if it failed there is no incumbent until the first
    trial that succeeds, which is kept.

    Args:
        history: the trials before this one.
        row: the trial, with at least the columns of TRIAL that are read here; those of the decision
            and `chain` are not.
        rule: what counts as a difference.
        validation: the errors by protein of this trial and of those before it.

    Raises:
        InputError: the trial and the incumbent have no training seed in common.
    """
    iteration, ok = row["iteration"], row["status"] == "ok"
    held = history.incumbent
    if iteration == 0:
        return Decision("baseline", 0 if ok else None)
    if not ok:
        return Decision("discard", held.iteration if held else None)
    if row["fidelity"] < 1:
        return Decision("partial", held.iteration if held else None)
    if held is None:
        return Decision("keep", iteration)

    rows = [*(trial.row for trial in history), row]
    freedom = seed_freedom(rows)
    noise = (seed_noise(rows), freedom) if freedom else (rule.seed_sd, math.inf)
    difference = _difference(row, held.row)
    margin = _margin(row, held.row, noise, rule.z, validation)
    if difference < -margin - TOLERANCE:
        return Decision("keep", iteration, difference, margin)
    if margin == 0 or difference > margin + TOLERANCE:
        return Decision("discard", held.iteration, difference, margin)
    anchor = history[_best_incumbent(history)].row
    simpler = complexity(row) < complexity(held.row) and _difference(row, anchor) <= TOLERANCE
    return Decision("inconclusive", iteration if simpler else held.iteration, difference, margin)


def quantile(z: float, freedom: float) -> float:
    """Student's t at the probability of the normal quantile `z` ≥ 0, by the expansion of Cornish and Fisher.

    As in Abramowitz and Stegun 26.7.5, to the order of freedom⁻⁴. SciPy has it exactly, at a sixth of a second per
    process; `tests/test_decision.py` holds this against it.
    """
    powers = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return max(z, z + math.fsum(term / freedom**order for order, term in enumerate(powers, 1)))


def seed_noise(rows: Sequence[Mapping[str, Any]]) -> float:
    """The typical standard deviation between training seeds of one candidate; 0 where it cannot be known.

    Pooled over all successful full trials whose seeds differ; what does not depend on the seed has no noise and says
    nothing about that of others. Trial i has the variance v_i over its seeds, with
    f_i = seeds − 1 degrees of freedom; v_i / σ² is distributed as χ²(f_i) / f_i, whose median is close to
    m(f) = (1 − 2 / (9 f))³ (Wilson and Hilferty, 1931). The estimate is

        s² = median over i, weighted by f_i, of v_i / m(f_i).

    The median and not the mean: a search meets candidates that all but diverge, and one whose seeds lie 10 units apart
    would, in a mean of variances, make every later difference look like noise.
    """
    variances = []
    for values in _differing(rows):
        mean, freedom = math.fsum(values) / len(values), len(values) - 1
        variance = math.fsum((value - mean) ** 2 for value in values) / freedom
        variances.append((variance / (1 - 2 / (9 * freedom)) ** 3, freedom))
    if not variances:
        return 0.0
    return math.sqrt(_weighted_median(sorted(variances)))


def seed_freedom(rows: Sequence[Mapping[str, Any]]) -> int:
    """Degrees of freedom of `seed_noise`: the training seeds beyond the first of every trial that it pools."""
    return sum(len(values) - 1 for values in _differing(rows))


def _differing(rows: Sequence[Mapping[str, Any]]) -> list[Sequence[float]]:
    """The validation MAE by seed of the successful full trials in which it differs between seeds."""
    found = [row["val_mae_by_seed"] or [] for row in rows if row["status"] == "ok" and row["fidelity"] == 1]
    return [values for values in found if len(set(values)) > 1]


def complexity(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """What makes a candidate simpler than another; what is unknown counts as largest.

    In this order: its checkpoint in MB, as measured; its trainable parameters, as it reports them; its script's lines.
    """
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


def _common_seeds(row: Mapping[str, Any], other: Mapping[str, Any]) -> list[int]:
    """The training seeds that both trials have."""
    common = sorted(set(row["seeds"]) & set(other["seeds"]))
    if not common:
        raise InputError(
            f"trials {row['iteration']} and {other['iteration']} have no training seed in common;"
            " extent.seeds may only grow"
        )
    return common


def _difference(row: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Mean of `row` minus mean of `other` in target units over their common training seeds."""
    common = _common_seeds(row, other)
    ours, theirs = (dict(zip(each["seeds"], each["val_mae_by_seed"], strict=True)) for each in (row, other))
    return (math.fsum(ours[seed] for seed in common) - math.fsum(theirs[seed] for seed in common)) / len(common)


def _margin(
    row: Mapping[str, Any], other: Mapping[str, Any], noise: tuple[float, float], z: float, validation: Validation
) -> float:
    """What `_difference` has to exceed, in target units.

    Args:
        noise: (standard deviation between training seeds in target units, its degrees of freedom).
    """
    common = _common_seeds(row, other)
    sides = [validation.errors(each["iteration"], common) for each in (row, other)]  # (seeds, proteins) each
    sd, freedom = noise
    noisy = sum(len(common) == 1 or bool(np.ptp(errors, axis=0).any()) for errors in sides)
    families = validation.families
    squares = (
        quantile(z, freedom) ** 2 * noisy * sd**2 / len(common),
        quantile(z, families.freedom) ** 2 * families.variance(sides[0] - sides[1]),
    )
    return math.sqrt(sum(squares))


def _best_incumbent(history: History) -> int:
    """The trial with the lowest mean among all that have been incumbent."""
    incumbents = {trial.incumbent for trial in history if trial.incumbent is not None}
    return min(incumbents, key=lambda iteration: (history[iteration].val_mae, iteration))
