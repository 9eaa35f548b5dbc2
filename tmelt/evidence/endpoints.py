"""Scores of predictions with intervals: errors, ranks, and the decisions that users take by a prediction.

Each score of a model is the mean over its training seeds. Intervals come from the one model of error: errors are means
over proteins, and the other scores enter it as jackknife pseudo-values of groups of families.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import rankdata
from sklearn import config_context
from sklearn.metrics import average_precision_score

from tmelt.evidence.error_model import Arm, Estimate, estimate, pseudo_values
from tmelt.evidence.metrics import SCORE_NAMES, none_if_nan, rank_correlation, score, within_organism_correlation
from tmelt.evidence.schema import ENDPOINTS
from tmelt.evidence.tables import table
from tmelt.evidence.winners import Confirmed
from tmelt.study.config import Endpoints

ENDPOINT_NAMES = ("spearman", "parent_rho", "auroc", "average_precision", "enrichment")
ALL_NAMES = (*SCORE_NAMES, *(name for name in ENDPOINT_NAMES if name not in SCORE_NAMES))
PARENT_MIN = 3  # variants below which a rank within a family of variants is no score
GROUPS = 20  # of families, each of which is left out once
_BOUNDS = {"r2": (-np.inf, 1), "auroc": (0, 1), "average_precision": (0, 1), "enrichment": (0, np.inf)}
_BOUNDS |= {"rmse": (0, np.inf)} | dict.fromkeys(("spearman", "within_rho", "parent_rho"), (-1, 1))

_NO_SPREAD = 1e-9

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Measured:
    """Measured proteins, and what counts as a hit among them.

    Attributes:
        tm: (proteins,) measured, in target units.
        clusters: (proteins,) families, the unit of independent evidence.
        organisms, parents: (proteins,) names or None.
        threshold: at or above it a protein is positive, in target units; None: no threshold is of interest.
        top: share of the proteins that is picked by prediction.
    """

    tm: np.ndarray
    clusters: np.ndarray
    organisms: Sequence[str | None]
    parents: Sequence[str | None]
    threshold: float | None = None
    top: float = 0.1
    _known: dict[tuple[str, int], np.ndarray] = field(default_factory=dict, repr=False)

    @cached_property
    def positive(self) -> np.ndarray:
        """(proteins,) bool: at or above the threshold; without one the share `top` that was measured highest."""
        if self.threshold is not None:
            return self.tm >= self.threshold
        return self.tm >= np.sort(self.tm)[-_picked(len(self.tm), self.top)]

    @cached_property
    def groups(self) -> np.ndarray:
        """(proteins,) number of the group of families; the families are dealt to at most GROUPS groups by a draw."""
        names, family = np.unique(self.clusters, return_inverse=True)
        dealt = np.random.default_rng(0).permutation(len(names)) % GROUPS
        return dealt[family]

    def statistic(self, name: str) -> Statistic:
        """The score of this name: (runs, proteins) predictions and positions (k,) → (runs,); NaN where undefined."""

        def computed(predictions: np.ndarray, kept: np.ndarray) -> np.ndarray:
            part, tm = predictions[:, kept], self.tm[kept]
            match name:
                case "auroc" | "average_precision":
                    return ranking_score(name, part, self.positive[kept])
                case "enrichment":
                    return enrichment(part, self.positive[kept], self.top)
                case "spearman":
                    return rank_correlation(part, tm)
                case "parent_rho":
                    return within_organism_correlation(part, tm, [self.parents[i] for i in kept], PARENT_MIN)
                case "within_rho":
                    return within_organism_correlation(part, tm, [self.organisms[i] for i in kept])
            return score(part, tm, [None] * len(kept))[name]

        return computed

    def pseudo_values(self, name: str, predictions: np.ndarray) -> np.ndarray:
        """Pseudo-values (runs, groups) of a score, computed once for each model: strategies share their winners."""
        key = name, hash(predictions.tobytes())
        if key not in self._known:
            self._known[key] = pseudo_values(self.statistic(name), predictions, self.groups)
        return self._known[key]

    def facts(self) -> dict[str, Any]:
        """What each row of a table says of the proteins."""
        return {
            "proteins": len(self.tm),
            "clusters": len(np.unique(self.clusters)),
            "positives": int(self.positive.sum()),
            "threshold": self.threshold,
            "top": self.top,
        }

    def names(self, wanted: Sequence[str]) -> Iterator[str]:
        """Those of the scores that these proteins can have."""
        for name in wanted:
            if name in ("auroc", "average_precision") and self.threshold is None:
                continue
            if name == "parent_rho" and not any(parent is not None for parent in self.parents):
                continue
            if name == "within_rho" and not any(organism is not None for organism in self.organisms):
                continue
            yield name


def ranking_score(name: str, predictions: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """`auroc` or `average_precision` of each row of predictions (runs, proteins); NaN without both classes."""
    if positive.all() or not positive.any():
        return np.full(len(predictions), np.nan)
    if name == "average_precision":
        with config_context(assume_finite=True, skip_parameter_validation=True):
            return np.array([average_precision_score(positive, row) for row in predictions])
    # The statistic of Mann and Whitney: for many runs at once, where scikit-learn takes one.
    hits, others = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(predictions, axis=1)[:, positive].sum(axis=1)
    return (ranks - hits * (hits + 1) / 2) / (hits * others)


def enrichment(predictions: np.ndarray, positive: np.ndarray, top: float) -> np.ndarray:
    """How many times more positives the share `top` with the highest predictions has than all proteins: (runs,).

    Proteins with equal predictions at the cut count by their share. NaN without a positive.

    Args:
        predictions: (runs, proteins).
        positive: (proteins,) bool.
    """
    if not positive.any():
        return np.full(len(predictions), np.nan)
    picked = _picked(predictions.shape[1], top)
    cut = np.sort(predictions, axis=1)[:, -picked, None]
    above, tied = predictions > cut, predictions == cut
    hits = (above & positive).sum(axis=1)
    hits = hits + (tied & positive).sum(axis=1) / tied.sum(axis=1) * (picked - above.sum(axis=1))
    return hits / picked / positive.mean()


def _picked(proteins: int, top: float) -> int:
    return max(1, round(top * proteins))


@dataclass(frozen=True)
class Model:
    """Predictions of one model, or of the winners of several searches that are one strategy.

    Attributes:
        predictions: per search (seeds, proteins), in target units.
        seeds: per search its training seeds; None for a predictor that is taken as it is.
        outcomes: per search a label; equal ones are one observation.
    """

    predictions: Sequence[np.ndarray]
    seeds: Sequence[Sequence[int]] | None
    outcomes: Sequence[str]

    def arm(self, values: Sequence[np.ndarray]) -> Arm:
        """One side of the model of error from values (seeds, k) of each search."""
        return Arm.single(values[0]) if self.seeds is None else Arm.of(values, self.seeds, self.outcomes)


def score_rows(model: Model, measured: Measured, names: Sequence[str]) -> list[dict[str, Any]]:
    """`metric`, `value`, `low`, `high` and `note` of each score of `names` that the proteins can have."""
    rows = []
    for name in measured.names(names):
        found, note = _estimate(model, measured, name)
        low, high = found.interval()
        least, most = _BOUNDS.get(name, (-np.inf, np.inf))
        rows.append(
            {
                "metric": name,
                "value": none_if_nan(found.value),
                "low": None if low is None else max(low, least),
                "high": None if high is None else min(high, most),
                "note": note,
            }
        )
    return rows


def _estimate(model: Model, measured: Measured, name: str) -> tuple[Estimate, str | None]:
    """The score, and why it is missing or has no interval."""
    if name in ("mae", "bias"):
        errors = [predictions - measured.tm for predictions in model.predictions]
        values = [np.abs(part) for part in errors] if name == "mae" else errors
        return estimate(model.arm(values), None, measured.clusters), None
    everything = np.arange(len(measured.tm))
    whole = model.arm([measured.statistic(name)(part, everything)[:, None] for part in model.predictions])
    value = float(whole.weight @ whole.values[:, 0])
    if not np.isfinite(value):
        return Estimate(value, {}), "undefined: equal predictions, or none or all of the proteins are positive"
    if len(np.unique(measured.groups)) < 2:
        return Estimate(value, {}), "no interval: one family"
    values = [measured.pseudo_values(name, part) for part in model.predictions]
    if not all(np.isfinite(part).all() for part in values):
        return Estimate(value, {}), "no interval: undefined without one of the groups of families"
    found = replace(estimate(model.arm(values), None, np.arange(values[0].shape[1])), value=value, logarithmic=False)
    if found.se is not None and found.se < _NO_SPREAD:
        return Estimate(value, {}), "no interval: the same without any group of families"
    return found, None


def measured_of(labels: pl.DataFrame, asked: Endpoints) -> Measured:
    """The proteins of a frame (tmelt.evidence.schema.OPENED_LABELS), and what the config asks of them."""
    return Measured(
        tm=labels["tm"].to_numpy(),
        clusters=labels["cluster"].to_numpy(),
        organisms=labels["organism"].to_list(),
        parents=labels["parent"].to_list(),
        threshold=asked.threshold,
        top=asked.top,
    )


def named_models(confirmed: Confirmed, plan: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """`role`, `strategy`, `trajectory` and `candidates` of the baseline, each winner and each strategy.

    What has no predictions is left out.
    """
    won: dict[str, list[str]] = {}
    wanted = plan.filter(pl.col("purpose").is_in(["winner", "baseline"])).unique(maintain_order=True)
    for row in wanted.iter_rows(named=True):
        if row["candidate"] not in confirmed:
            continue
        yield {"role": row["purpose"], "strategy": row["strategy"], "trajectory": row["trajectory"]} | {
            "candidates": [row["candidate"]]
        }
        if row["purpose"] == "winner":
            won.setdefault(row["strategy"], []).append(row["candidate"])
    for strategy, candidates in won.items():
        yield {"role": "strategy", "strategy": strategy, "trajectory": None, "candidates": candidates}


def model_rows(
    confirmed: Confirmed, split: str, plan: pl.DataFrame, measured: Measured, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Rows of every model of `named_models`, of its predictions for the proteins of a split.

    Args:
        measured: the proteins of the split.
        names: of scores.
    """
    inside = confirmed.inside(split)
    for about in named_models(confirmed, plan):
        candidates = about.pop("candidates")
        model = Model(
            [confirmed.predictions[one][:, inside] for one in candidates],
            [confirmed.seeds[one] for one in candidates],
            [confirmed.outcome(one) for one in candidates],
        )
        for row in score_rows(model, measured, names):
            yield about | row


def endpoints(
    plan: pl.DataFrame, confirmed: Confirmed, floor_predictions: pl.DataFrame, asked: Endpoints
) -> pl.DataFrame:
    """The table `endpoints`: scores on test beyond errors.

    Args:
        plan: tmelt.evidence.schema.PLAN.
        floor_predictions: the table of this name.
        asked: the endpoints of the config.
    """
    inside = confirmed.inside("test")
    if not len(inside):
        return table([], ENDPOINTS)
    labels = confirmed.labels[inside.tolist()]
    measured = measured_of(labels, asked)
    rows = list(model_rows(confirmed, "test", plan, measured, ENDPOINT_NAMES))
    for (name,), part in floor_predictions.filter(pl.col("split") == "test").group_by("strategy", maintain_order=True):
        ordered = labels.select("protein_id").join(part, on="protein_id", how="left", maintain_order="left")
        model = Model([ordered["prediction"].to_numpy()[None]], None, (str(name),))
        about = {"role": "floor", "strategy": name, "trajectory": None}
        rows += [about | row for row in score_rows(model, measured, ENDPOINT_NAMES)]
    return table([row | measured.facts() for row in rows], ENDPOINTS)
