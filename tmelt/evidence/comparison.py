"""Which strategy is better and how sure that is: pairs, each against the baseline, the chosen one against a reference.

The contrasts in test MAE and the one in rank correlation are the family that the page's sentences come from; they are
adjusted for one another by `tmelt.evidence.verdict`. Contrasts in validation MAE and in areas under curves are shown
with intervals and never tested.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tmelt.evidence import statistics
from tmelt.evidence.error_model import Arm, Estimate, estimate, estimate_numbers, pseudo_values
from tmelt.evidence.metrics import within_organism_correlation
from tmelt.evidence.permutation import least_p
from tmelt.evidence.replicates import chains
from tmelt.evidence.schema import COMPARISON
from tmelt.evidence.tables import table
from tmelt.evidence.verdict import ALPHA, FEW, PRIMARY, adjusted, p_of_strategies
from tmelt.evidence.winners import Confirmed, candidate_of, confirmed_winners

BASELINE = "baseline"
REFERENCE = "reference"
SAME = "the same candidate on both sides"
_DISTANT = "one distinct search each: says which winner is better, not which strategy"


@dataclass(frozen=True)
class Side:
    """One side of a contrast: the errors of its searches' winners, and what each search came to."""

    name: str
    arm: Arm
    outcomes: tuple[str, ...]  # per search; equal ones are one observation

    @property
    def numbers(self) -> np.ndarray:
        """(distinct searches,) mean error of each."""
        weights = [self.arm.weight * (self.arm.search == label) for label in np.unique(self.arm.search)]
        means = self.arm.values.mean(axis=1)
        return np.array([weight @ means / weight.sum() for weight in weights])

    @property
    def mean(self) -> float:
        """Mean over all searches."""
        return float(self.arm.weight @ self.arm.values.mean(axis=1))


def comparison(
    trials: pl.DataFrame,
    won: pl.DataFrame,
    efficiency: pl.DataFrame,
    plan: pl.DataFrame,
    confirmed: Confirmed,
    floors: pl.DataFrame,
    floor_predictions: pl.DataFrame,
    primary: tuple[str, str] | None = None,
    share: float = 1.0,
) -> pl.DataFrame:
    """The table `comparison`.

    Args:
        trials: tmelt.storage.schema.TRIAL of all searches; their order is that of the strategies.
        won, efficiency, floors, floor_predictions: the tables of these names.
        primary: the registered contrast (a, b) in test MAE; b may be `baseline`.
        share: of the error rate that this look at test may use (tmelt.evidence.looks).
    """
    strategies = trials["strategy"].unique(maintain_order=True).to_list()
    baseline = candidate_of(plan, BASELINE, None, None)
    rows: list[dict[str, Any]] = []
    for split in ("test", "val"):
        sides = {}
        for name in strategies:
            if names := confirmed_winners(won, name):
                outcomes = tuple(confirmed.outcome(candidate) for candidate in names)
                sides[name] = Side(name, confirmed.arm_of_searches(names, split), outcomes)
        clusters, metric = confirmed.clusters(split), f"{split}_mae"
        block = [compare(a, b, metric, clusters) for a, b in itertools.combinations(sides.values(), 2)]
        if baseline in confirmed:
            fixed = Side(BASELINE, confirmed.arm(baseline, split), (confirmed.outcome(baseline),))
            block += [compare(side, fixed, metric, clusters) for side in sides.values()]
        if split == "test":
            block += _against_reference(won, sides, confirmed, floors, floor_predictions)
            block = with_verdicts(block, primary, share)
        else:
            block = [row | {"p_value": None} for row in block]
        rows += block
    return table([*rows, *_areas(strategies, trials, efficiency)], COMPARISON)


def compare(a: Side, b: Side, metric: str, clusters: np.ndarray) -> dict[str, Any]:
    """A row of the table for two sides that predict the same proteins."""
    if set(a.outcomes) == set(b.outcomes) and len(set(a.outcomes)) == 1:
        return _row(a, b, metric, Estimate(0.0, {}), None) | {"note": SAME}
    found = estimate(a.arm, b.arm, clusters)
    if b.name in (BASELINE, REFERENCE):
        return _row(a, b, metric, found, found.p_value())
    rng = statistics.generator("comparison", a.name, b.name, metric)
    return _row(a, b, metric, found, p_of_strategies(found, a.numbers, b.numbers, rng))


def chosen_strategy(won: pl.DataFrame) -> str | None:
    """The strategy that the page's headline is about, chosen without test and without the fresh seeds that test uses.

    Its winners have the lowest mean error on select in the searches' own runs; the first of equals.
    """
    known = won.filter(pl.col("confirmed_seeds") > 0)
    means = known.group_by("strategy", maintain_order=True).agg(pl.col("select_mae").mean())
    return means.sort("select_mae", maintain_order=True)["strategy"][0] if len(means) else None


def reference_predictor(floors: pl.DataFrame) -> dict[str, Any] | None:
    """The reference predictor that is strongest on validation."""
    fair = floors.filter(pl.col("kind") == "predictor").drop_nulls(["val_mae", "test_mae"]).sort("val_mae")
    return fair.row(0, named=True) if len(fair) else None


def _against_reference(
    won: pl.DataFrame,
    sides: dict[str, Side],
    confirmed: Confirmed,
    floors: pl.DataFrame,
    floor_predictions: pl.DataFrame,
) -> list[dict[str, Any]]:
    """The chosen strategy's winners against the strongest reference predictor, in error and in rank correlation."""
    name, reference = chosen_strategy(won), reference_predictor(floors)
    if name is None or reference is None:
        return []
    predicted = floor_predictions.filter((pl.col("strategy") == reference["name"]) & (pl.col("split") == "test"))
    inside = confirmed.inside("test")
    wanted = confirmed.labels[inside.tolist()].select("protein_id")
    fixed = wanted.join(predicted, on="protein_id", how="left", maintain_order="left")["prediction"].to_numpy()
    tm, clusters = confirmed.labels["tm"].to_numpy()[inside], confirmed.clusters("test")
    side = sides[name]
    rows = [compare(side, Side(REFERENCE, Arm.single(np.abs(fixed - tm)), (REFERENCE,)), "test_mae", clusters)]

    organisms = confirmed.labels["organism"].to_numpy()[inside]

    def rho(predictions: np.ndarray, kept: np.ndarray) -> np.ndarray:
        return within_organism_correlation(predictions[:, kept], tm[kept], organisms[kept].tolist())

    candidates = confirmed_winners(won, name)
    ours = [pseudo_values(rho, confirmed.predictions[c][:, inside], clusters) for c in candidates]
    theirs = pseudo_values(rho, fixed[None], clusters)
    if not np.isfinite(theirs).all() or not all(np.isfinite(part).all() for part in ours):
        return rows
    arm = Arm.of(ours, [confirmed.seeds[c] for c in candidates], side.outcomes)
    ranked = Side(name, arm, side.outcomes)
    families = np.arange(theirs.shape[1])
    return [*rows, compare(ranked, Side(REFERENCE, Arm.single(theirs), (REFERENCE,)), "test_within_rho", families)]


def _areas(strategies: Sequence[str], trials: pl.DataFrame, efficiency: pl.DataFrame) -> list[dict[str, Any]]:
    """Every pair by the area under the incumbent's curve, one number per search."""
    labels = chains(trials)
    sides = {}
    for name in strategies:
        own = efficiency.filter((pl.col("strategy") == name) & (pl.col("axis") == "trials")).drop_nulls("auc")
        if len(own):
            outcomes = tuple(labels[name, trajectory] for trajectory in own["trajectory"])
            areas = [np.array([[value]]) for value in own["auc"]]
            sides[name] = Side(name, Arm.of(areas, [[0]] * len(areas), outcomes), outcomes)
    rows = []
    for a, b in itertools.combinations(sides.values(), 2):
        found = estimate_numbers(a.arm, b.arm)
        rows.append(_row(a, b, "auc", found, None))
    return rows


def _row(a: Side, b: Side, metric: str, found: Estimate, p_value: float | None) -> dict[str, Any]:
    left, right = a.numbers, b.numbers
    low, high = found.interval()
    notes = []
    strategies = b.name not in (BASELINE, REFERENCE)
    if strategies and len(left) == len(right) == 1:
        notes.append(_DISTANT)
    elif strategies and min(len(left), len(right)) < FEW:
        notes.append(f"fewer than {FEW} distinct searches of one strategy: not tested")
    if low is None:
        notes.append("no interval: what varies cannot be seen")
    share: tuple[float | None, ...] = (None, None, None)
    if min(len(left), len(right)) > 1:
        share = statistics.probability_of_improvement(left, right)
    return {
        "a": a.name,
        "b": b.name,
        "metric": metric,
        "n_a": len(a.outcomes),
        "n_b": len(b.outcomes),
        "distinct_a": len(left),
        "distinct_b": len(right),
        "mean_a": a.mean,
        "mean_b": b.mean,
        "difference": found.value,
        "low": low,
        "high": high,
        "covers": ", ".join(found.covers) or None,
        "probability": share[0],
        "probability_low": share[1],
        "probability_high": share[2],
        "p_value": p_value,
        "p_adjusted": None,
        "verdict": None,
        "note": "; ".join(notes) or None,
    }


def with_verdicts(
    rows: list[dict[str, Any]], primary: tuple[str, str] | None = None, share: float = 1.0
) -> list[dict[str, Any]]:
    """The family's rows with adjusted p and verdict; a row without a p is not tested.

    Args:
        primary: the registered contrast in test MAE, in either order.
        share: of the error rate that this look at test may use.
    """
    places = [
        place
        for place, row in enumerate(rows)
        if primary and row["metric"] == "test_mae" and {row["a"], row["b"]} == set(primary)
    ]
    family = sum(row["p_value"] is not None for row in rows)
    corrected = adjusted([row["p_value"] for row in rows], places[0] if places else None, share)
    for place, (row, p) in enumerate(zip(rows, corrected, strict=True)):
        row["p_adjusted"] = p
        if p is None:
            continue
        least = least_p(row["distinct_a"], row["distinct_b"]) * (1 / PRIMARY if place in places else family)
        if row["b"] not in (BASELINE, REFERENCE) and least >= ALPHA * share:
            row["note"] = (
                f"{row['distinct_a']} and {row['distinct_b']} searches cannot be significant among {family} contrasts"
            )
        lower = row["difference"] < 0 if row["metric"] != "test_within_rho" else row["difference"] > 0
        row["verdict"] = ("a better" if lower else "b better") if p < ALPHA else "undecided"
    return rows
