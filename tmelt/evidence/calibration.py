"""How sure one may be of a winner's predictions: what the spread over seeds tells, and what held-out errors promise.

The contract asks for one number per protein, so there are two honest sources of an interval: the disagreement of the
fresh seeds, and the errors on select, whose proteins no search saw (tmelt.evidence.conformal).
"""

from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from tmelt.evidence.conformal import LEVELS, conformal_radius
from tmelt.evidence.metrics import ORGANISM_MIN, none_if_nan, rank_correlation
from tmelt.evidence.schema import CALIBRATION, COVERAGE
from tmelt.evidence.shares import share_interval
from tmelt.evidence.subgroups import group_interval
from tmelt.evidence.tables import table

LEVEL = 0.9  # of the intervals that are looked at by organism and by spread
BINS = 5
LEAST = 20  # proteins of select below which no interval is made
CONFORMAL, SPREAD, ALL = "conformal", "spread", "all"
_KEY = ["role", "strategy", "trajectory"]


def calibration(predictions: pl.DataFrame) -> pl.DataFrame:
    """The table `calibration`: error and coverage in fifths of the test proteins by the spread over fresh seeds.

    Args:
        predictions: the table `winner_predictions`.
    """
    rows: list[dict[str, Any]] = []
    for key, held, test in _candidates(predictions):
        if test["prediction_sd"].null_count() or len(test) < BINS:
            continue
        spread, error, clusters = test["prediction_sd"].to_numpy(), _errors(test), test["cluster"].to_numpy()
        radius = conformal_radius(_errors(held), LEVEL)
        rho = none_if_nan(float(rank_correlation(spread, error)[0]))
        rows += [
            key
            | {
                "bin": index,
                "proteins": len(inside),
                "sd": float(spread[inside].mean()),
                "mae": float(error[inside].mean()),
                **_ends("mae", group_interval(error[inside], clusters[inside])),
                "coverage": float((error[inside] <= radius).mean()),
                **_ends("coverage", share_interval(error[inside] <= radius, clusters[inside])),
                "rho": rho,
            }
            for index, inside in enumerate(np.array_split(np.argsort(spread, kind="stable"), BINS))
        ]
    return table(rows, CALIBRATION)


def coverage(predictions: pl.DataFrame) -> pl.DataFrame:
    """The table `coverage`: how often intervals of two kinds hold on test, overall and per organism.

    Conformal: the same half width for every protein, from the absolute errors on select. They
    chose the winner among a few incumbents, so the promise holds approximately. Spread: mean ± t · sd · √(1 + 1/n) of
    n fresh seeds, which would hold as often as it says if the measurement were one more seed's prediction.
    """
    rows: list[dict[str, Any]] = []
    for key, held, test in _candidates(predictions):
        error, clusters = _errors(test), test["cluster"].to_numpy()
        groups = {ALL: np.arange(len(test))}
        for organism in test["organism"].drop_nulls().unique().sort():
            inside = np.flatnonzero((test["organism"] == organism).fill_null(False).to_numpy())
            if len(inside) >= ORGANISM_MIN:
                groups[organism] = inside
        for level in LEVELS:
            widths = {CONFORMAL: np.full(len(test), conformal_radius(_errors(held), level))}
            seeds = int(test["seeds"][0])
            if seeds > 1:
                factor = stats.t.ppf((1 + level) / 2, seeds - 1) * np.sqrt(1 + 1 / seeds)
                widths[SPREAD] = factor * test["prediction_sd"].to_numpy()
            for kind, half in widths.items():
                if not np.isfinite(half).all():
                    continue
                for group, inside in groups.items():
                    if group != ALL and (kind != CONFORMAL or level != LEVEL):
                        continue
                    inside_it = error[inside] <= half[inside]
                    low, high = chance(len(held), len(inside), level) if kind == CONFORMAL else (None, None)
                    rows.append(
                        key
                        | {
                            "kind": kind,
                            "level": level,
                            "group": group,
                            "proteins": len(inside),
                            "coverage": float(inside_it.mean()),
                            **_ends("coverage", share_interval(inside_it, clusters[inside])),
                            "chance_low": low,
                            "chance_high": high,
                            "half_width": float(half[inside].mean()),
                        }
                    )
    return table(rows, COVERAGE)


def chance(calibrated: int, proteins: int, level: float) -> tuple[float, float]:
    """Between which shares the coverage of a conformal interval lies in 95 % of cases, for exchangeable proteins.

    Of n further proteins as many lie inside as a beta-binomial draw says (Vovk 2012, "Conditional validity of
    inductive conformal predictors"). Relatives err alike, so real shares scatter somewhat more.
    """
    rank = int(np.ceil(round((calibrated + 1) * level, 9)))
    law = stats.betabinom(proteins, rank, calibrated + 1 - rank)
    return float(law.ppf(0.025) / proteins), float(law.ppf(0.975) / proteins)


def _candidates(predictions: pl.DataFrame):
    """(key, select rows, test rows) of each winner and the baseline where select has enough proteins."""
    trained = predictions.filter(pl.col("role") != "floor")
    for key, part in trained.group_by(_KEY, maintain_order=True):
        held, test = (part.filter(pl.col("split") == split) for split in ("select", "test"))
        if len(held) >= LEAST and len(test):
            yield dict(zip(_KEY, key, strict=True)), held, test


def _ends(name: str, interval: tuple[float | None, float | None]) -> dict[str, float | None]:
    """The two ends of an interval as columns."""
    return {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def _errors(part: pl.DataFrame) -> np.ndarray:
    """(proteins,) absolute errors in target units of the mean prediction over fresh seeds."""
    return (part["prediction"] - part["tm"]).abs().to_numpy()
