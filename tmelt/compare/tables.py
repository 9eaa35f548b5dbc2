"""The numbers of a comparison over data sets, as tables."""

import itertools
from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa
from scipy import stats

from tmelt.compare.pooling import Pooled, interquartile_mean, pooled, ranks, ranks_differ
from tmelt.compare.reading import Finished
from tmelt.evidence.comparison import SAME
from tmelt.evidence.statistics import generator
from tmelt.evidence.tables import table
from tmelt.evidence.verdict import ALPHA, holm
from tmelt.storage.schema import F, N, S, column

PAIRS = pa.schema([
    column("a", S, "strategy"),
    column("b", S, "strategy"),
    column("dataset", S, "name of the data set; null: mean over all of them"),
    column("difference", F, "confirmed test error of a minus that of b, in the target's unit"),
    column("low", F, "lower end of the 95 % interval"),
    column("high", F, "upper end"),
    column("between_sd", F, "standard deviation of the true difference between data sets; null for one data set"),
    column("p_value", F, "two-sided, over data sets; null for one data set"),
    column("p_adjusted", F, "the same adjusted for all pairs (Holm)"),
    column("verdict", S, "a better, b better or undecided; null for one data set"),
])  # fmt: skip

SCORES = pa.schema([
    column("strategy", S, "name of the strategy"),
    column("dataset", S, "name of the data set; null: over all of them"),
    column("searches", N, "confirmed searches"),
    column("test_mae", F, "mean confirmed test error of the winners; null over all data sets"),
    column("rank", F, "by test error among the strategies, 1 is the lowest; over all data sets the mean rank"),
    column("reduction", F, "percent by which the baseline's test error is reduced; over all: interquartile mean"),
    column("low", F, "lower end of its 95 % interval over searches"),
    column("high", F, "upper end"),
])  # fmt: skip


def pair_table(studies: Sequence[Finished], names: Sequence[str]) -> pl.DataFrame:
    """Every pair of strategies on each data set and over all of them."""
    rows, totals = [], []
    for a, b in itertools.combinations(names, 2):
        known = []
        for study in studies:
            row = _contrast(study, a, b)
            rows.append({"a": a, "b": b, "dataset": study.data, **row})
            known.append(row)
        if any(row["low"] is None for row in known):
            found = None  # what varies on one of the data sets cannot be seen
        else:
            half = [(row["high"] - row["low"]) / 2 / stats.norm.ppf(0.975) for row in known]
            found = pooled([row["difference"] for row in known], half)
        mean = float(np.mean([row["difference"] for row in known]))
        totals.append({"a": a, "b": b, "difference": mean} | (_told(found) if found else {}))
    corrected = holm([row.get("p_value") for row in totals])
    for row, p in zip(totals, corrected, strict=True):
        row["p_adjusted"] = p
        if p is not None:
            better = "a better" if row["difference"] < 0 else "b better"
            row["verdict"] = better if p < ALPHA else "undecided"
    blank = dict.fromkeys(PAIRS.names)
    return table([blank | row for row in [*totals, *rows]], PAIRS)


def _told(found: Pooled) -> dict[str, float | None]:
    return {name: getattr(found, name) for name in ("difference", "low", "high", "between_sd", "p_value")}


def _contrast(study: Finished, a: str, b: str) -> dict:
    """Difference and interval of a pair in a study, whichever way round its table has them."""
    rows = study.tables["comparison"].filter(pl.col("metric") == "test_mae")
    for left, right, sign in ((a, b, 1), (b, a, -1)):
        for row in rows.filter((pl.col("a") == left) & (pl.col("b") == right)).to_dicts():
            if row["note"] == SAME:
                return {"difference": 0.0, "low": 0.0, "high": 0.0}
            ends = [row["low"], row["high"]][::sign]
            low, high = (None if end is None else sign * end for end in ends)
            return {"difference": sign * row["difference"], "low": low, "high": high}
    raise AssertionError(f"{study.folder}: no contrast of {a} and {b}, though both have confirmed winners")


def score_table(studies: Sequence[Finished], names: Sequence[str]) -> tuple[pl.DataFrame, float | None]:
    """(errors, ranks and reductions of the baseline's error by data set and over all, p of Friedman's test)."""
    means = np.array([[_mean(study, name) for name in names] for study in studies])
    placed = ranks(means)
    rng = generator("compare", *(study.proteins for study in studies))
    totals, rows = [], []
    for place, name in enumerate(names):
        by_dataset = {study.data: _reductions(study, name) for study in studies}
        value, low, high = interquartile_mean(by_dataset, rng)
        counts = [_searches(study, name) for study in studies]
        totals.append({
            "strategy": name, "dataset": None, "searches": sum(counts), "test_mae": None,
            "rank": float(placed[:, place].mean()), "reduction": value, "low": low, "high": high,
        })  # fmt: skip
        for study, error, rank, count in zip(studies, means[:, place], placed[:, place], counts, strict=True):
            rows.append({
                "strategy": name, "dataset": study.data, "searches": count, "test_mae": float(error),
                "rank": float(rank), "reduction": 100 * (1 - float(error) / study.baseline), "low": None, "high": None,
            })  # fmt: skip
    return table([*totals, *rows], SCORES), ranks_differ(placed, rng)


def _mean(study: Finished, name: str) -> float:
    return float(study.tables["strategies"].filter(pl.col("strategy") == name)["test_mae"][0])


def _searches(study: Finished, name: str) -> int:
    return int(study.tables["strategies"].filter(pl.col("strategy") == name)["confirmed"][0])


def _reductions(study: Finished, name: str) -> np.ndarray:
    """Percent of the baseline's test error that each distinct search took off."""
    won = study.tables["winners"].filter((pl.col("strategy") == name) & pl.col("test_mae").is_not_null())
    distinct = won.unique("outcome", keep="first", maintain_order=True)
    return 100 * (1 - distinct["test_mae"].to_numpy() / study.baseline)
