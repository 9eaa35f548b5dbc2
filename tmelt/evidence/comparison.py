"""Which strategy is better, how sure that is, and how many searches it would take to be sure."""

import itertools
import math
from typing import Any

import numpy as np
import polars as pl

from tmelt.evidence import statistics
from tmelt.evidence.metrics import none_if_nan
from tmelt.evidence.schema import COMPARISON, POWER
from tmelt.evidence.tables import table
from tmelt.evidence.winners import Confirmed, candidate_of, errors_by_search

BASELINE = "baseline"
_ONE_EACH = "one search each: says which winner is better, not which strategy"


def comparison(
    strategies: list[str], won: pl.DataFrame, efficiency: pl.DataFrame, plan: pl.DataFrame, confirmed: Confirmed
) -> pl.DataFrame:
    """The table `comparison`: every pair of strategies, and each strategy against the baseline, by three metrics.

    Args:
        strategies: their names in the order of the study.
        won, efficiency: the tables `winners` and `efficiency`.
    """
    rows: list[dict[str, Any]] = []
    for split in ("test", "val"):
        errors = {name: errors_by_search(won, name, confirmed, split) for name in strategies}
        clusters = confirmed.clusters(split)
        metric = f"{split}_mae"
        block = [
            compare_errors(a, b, metric, errors[a], errors[b], clusters)
            for a, b in itertools.combinations(strategies, 2)
            if len(errors[a]) and len(errors[b])
        ]
        baseline = candidate_of(plan, BASELINE, None, None)
        if baseline in confirmed:
            reference = confirmed.errors(baseline, split).mean(axis=0)
            block += [
                _against_baseline(a, metric, errors[a], reference, clusters) for a in strategies if len(errors[a])
            ]
        rows += _with_verdicts(block)
    areas = {
        name: efficiency.filter((pl.col("strategy") == name) & (pl.col("axis") == "trials"))["auc"]
        .drop_nulls()
        .to_numpy()
        for name in strategies
    }
    rows += _with_verdicts(
        [
            compare_numbers(a, b, "auc", areas[a], areas[b])
            for a, b in itertools.combinations(strategies, 2)
            if len(areas[a]) and len(areas[b])
        ]
    )
    return table(rows, COMPARISON)


def compare_errors(a: str, b: str, metric: str, left: np.ndarray, right: np.ndarray, clusters: np.ndarray) -> dict:
    """One pair of strategies by their winners' errors on the same proteins, (searches, proteins) each."""
    rng = statistics.generator("comparison", a, b, metric)
    interval = statistics.difference_interval(left, right, clusters, rng)
    return _row(a, b, metric, left.mean(axis=1), right.mean(axis=1), interval, rng)


def compare_numbers(a: str, b: str, metric: str, left: np.ndarray, right: np.ndarray) -> dict:
    """One pair of strategies by one number per search."""
    interval = statistics.welch_interval(left, right)
    return _row(a, b, metric, left, right, interval, statistics.generator("comparison", a, b, metric))


def _row(
    a: str,
    b: str,
    metric: str,
    left: np.ndarray,
    right: np.ndarray,
    interval: statistics.Interval,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """A row of the table from one number per search, `left` of a and `right` of b."""
    fewest = min(len(left), len(right))
    share, low, high = statistics.probability_of_improvement(left, right)
    notes = []
    if fewest < statistics.FEW:
        notes.append(f"{fewest} searches of one strategy, fewer than {statistics.FEW}: no significance")
    if max(len(left), len(right)) == 1:
        notes = [_ONE_EACH]
    return {
        "a": a,
        "b": b,
        "metric": metric,
        "n_a": len(left),
        "n_b": len(right),
        "mean_a": float(left.mean()),
        "mean_b": float(right.mean()),
        "difference": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "probability": share,
        "probability_low": low,
        "probability_high": high,
        "p_value": statistics.permutation_p(left, right, rng) if fewest >= statistics.FEW else None,
        "p_holm": None,
        "verdict": None,
        "note": "; ".join(notes) or None,
    }


def _against_baseline(a: str, metric: str, errors: np.ndarray, reference: np.ndarray, clusters: np.ndarray) -> dict:
    """One strategy's winners against the confirmed baseline, which is one candidate and has no replicates."""
    rng = statistics.generator("comparison", a, BASELINE, metric)
    interval = statistics.mean_interval(errors - reference, clusters, rng)
    row = _row(a, BASELINE, metric, errors.mean(axis=1), np.array([reference.mean()]), interval, rng)
    few = f"; fewer than {statistics.FEW} searches" if len(errors) < statistics.FEW else ""
    return row | {"note": "the baseline is one candidate: interval over searches of a and proteins" + few}


def _with_verdicts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Holm's correction within a metric. A verdict needs both: p < 0.05, and an interval without 0.

    The permutation test of n against n searches cannot give less than 2 / (2n choose n), that of n against m not less
    than 1 / (n + m choose n), for its splits have no mirror images: 5 against 5 are too few for more than six pairs of
    strategies, and the note says so.
    """
    pairs = sum(row["p_value"] is not None for row in rows)
    for row, corrected in zip(rows, statistics.holm([row["p_value"] for row in rows]), strict=True):
        row["p_holm"] = corrected
        if corrected is None:
            continue
        extremes = 2 if row["n_a"] == row["n_b"] else 1
        if extremes / math.comb(row["n_a"] + row["n_b"], row["n_a"]) * pairs >= 0.05:
            row["note"] = f"{row['n_a']} and {row['n_b']} searches cannot be significant among {pairs} comparisons"
        clear = corrected < 0.05 and row["low"] is not None and (row["low"] > 0 or row["high"] < 0)
        row["verdict"] = ("a better" if row["difference"] < 0 else "b better") if clear else "undecided"
    return rows


def power(strategies: list[str], won: pl.DataFrame) -> pl.DataFrame:
    """The table `power`: searches needed to establish the observed differences, at today's spread of searches."""
    rows = []
    scores = {name: won.filter(pl.col("strategy") == name)["test_mae"].drop_nulls().to_numpy() for name in strategies}
    for a, b in itertools.combinations(strategies, 2):
        left, right = scores[a], scores[b]
        if not len(left) or not len(right):
            continue
        fewest = min(len(left), len(right))
        difference = float(left.mean() - right.mean())
        freedom = len(left) + len(right) - 2
        sd = float("nan")
        if fewest >= 2:
            squares = ((left - left.mean()) ** 2).sum() + ((right - right.mean()) ** 2).sum()
            sd = float(np.sqrt(squares / freedom))
        row = {
            "a": a,
            "b": b,
            "metric": "test_mae",
            "difference": difference,
            "sd": none_if_nan(sd),
            "trajectories": fewest,
            "needed_80": None,
            "needed_90": None,
            "detectable": None,
            "note": None,
        }
        if fewest < 2:
            row["note"] = "one search of a strategy: its spread is unknown"
        elif sd == 0:
            row["note"] = "no spread between searches"
        else:
            row["needed_80"] = statistics.searches_needed(difference / sd, 0.8)
            row["needed_90"] = statistics.searches_needed(difference / sd, 0.9)
            row["detectable"] = sd * statistics.detectable_effect(fewest)
            row["note"] = "the observed difference and spread are themselves uncertain" + (
                f" ({fewest} searches)" if fewest < statistics.FEW else ""
            )
            if row["needed_80"] is None:
                row["note"] = "more than 2,000 searches: no difference worth the name"
        rows.append(row)
    return table(rows, POWER)
