"""What a trial's runs say of its candidate beyond the validation error: epochs, reports and errors on stop.

Everything is a mean over training seeds. Epochs, curve and reports are the candidate's own account of fit, which sees
no protein of val, select or test. Errors on stop (the early-stopping proteins) are measured by the harness from the
same predictions as every other error.
"""

import itertools
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.storage.schema import CURVE, PREDICTIONS, PROTEINS, read_run_table, read_table
from tmelt.study.target import TM

CURVE_POINTS = 8
GROUPS_MAX = 8  # the largest groups; the others are counted together
BANDS = 4  # of labels, and of length: of equal numbers of proteins
WORST = 5
# units; larger errors count as this one. Predict chooses its errors on stop, and would have a channel in their digits.
LARGEST_ERROR = 100.0


def diagnostics_of(
    runs: Sequence[Path], tried: Sequence[Mapping[str, Any]], proteins: Path, unit: str = TM.unit
) -> dict[str, Any]:
    """The diagnostics of one trial, as JSON.

    Args:
        runs: the folder of each seed.
        tried: the row of each of them (tmelt.storage.schema.RUN).
        proteins: proteins.parquet.
        unit: of the target.

    Returns:
        `epochs` and `best_epoch` (means), `curve` (pairs of epoch and stop MAE in target units, at most CURVE_POINTS),
        `predict_s` (sum), `reports` (mean by name) and `stop_errors` (see `stop_errors`), each only where known.
    """
    curves = [read_table(folder / "curve.parquet", CURVE) for folder in runs]
    points = [
        [(epoch, mae) for epoch, mae in curve.select("epoch", "stop_mae").iter_rows() if mae is not None]
        for curve in curves
    ]
    best = [min(each, key=lambda point: point[1])[0] for each in points if each]
    predicted = [run["predict_s"] for run in tried if run["predict_s"] is not None]
    found = {
        "epochs": _mean([run["epochs"] for run in tried if run["epochs"] is not None]),
        "best_epoch": _mean(best),
        "curve": short_curve(points),
        "predict_s": round(math.fsum(predicted), 2) if predicted else None,
        "reports": mean_reports([json.loads(run["reports"]) for run in tried if run["reports"]]),
        "stop_errors": _stop_errors(runs, tried, proteins, unit),
    }
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def short_curve(curves: Sequence[Sequence[tuple[int, float]]], points: int = CURVE_POINTS) -> list[list[float]]:
    """Mean over seeds of the stop MAE at evenly spaced epochs, first and last among them; pairs of epoch and units."""
    by_epoch: dict[int, list[float]] = {}
    for curve in curves:
        for epoch, mae in curve:
            by_epoch.setdefault(epoch, []).append(mae)
    epochs = sorted(by_epoch)
    if len(epochs) > points:
        epochs = [epochs[round(place * (len(epochs) - 1) / (points - 1))] for place in range(points)]
    return [[epoch, round(statistics.fmean(by_epoch[epoch]), 2)] for epoch in epochs]


def mean_reports(reports: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean over the runs that report it, by name, to four significant digits."""
    names = dict.fromkeys(name for each in reports for name in each)
    means = {name: statistics.fmean([each[name] for each in reports if name in each]) for name in names}
    return {name: float(f"{mean:.4g}") for name, mean in means.items() if math.isfinite(mean)}


def _mean(values: Sequence[float]) -> float | None:
    return round(statistics.fmean(values), 1) if values else None


def _stop_errors(
    runs: Sequence[Path], tried: Sequence[Mapping[str, Any]], proteins: Path, unit: str
) -> dict[str, Any] | None:
    """Errors on stop over the seeds of a trial; None unless all its runs ended ok and predicted stop."""
    if not runs or any(run["status"] != "ok" for run in tried):
        return None
    known = read_table(proteins, PROTEINS).filter(pl.col("split") == "stop").drop_nulls("tm")
    predicted = []
    for folder in runs:
        rows = read_run_table(folder / "predictions.parquet", PREDICTIONS).filter(pl.col("split") == "stop")
        joined = known.join(rows.select("protein_id", "prediction"), on="protein_id", how="left", maintain_order="left")
        if len(joined) != len(known) or joined["prediction"].null_count():
            return None
        predicted.append(joined["prediction"].to_numpy())
    return stop_errors(known, np.stack(predicted), unit) if len(known) else None


def stop_errors(known: pl.DataFrame, predictions: np.ndarray, unit: str = TM.unit) -> dict[str, Any]:
    """Errors on the early-stopping proteins, in target units.

    Args:
        known: protein_id, sequence, organism and tm of n proteins.
        predictions: (seeds, n) in target units.

    Returns:
        `mae` and `bias` (prediction minus measured); `groups`, `tm` and `length`: rows of name, proteins, MAE and bias;
        `calibration`: slope of measured on predicted labels (1 is calibrated; below 1 predictions spread too far) and
        the standard deviations of both; `worst`: rows of protein, group, residues, tm and error, each error in whole
        units.
    """
    tm = known["tm"].to_numpy()
    predictions = np.clip(predictions, tm - LARGEST_ERROR, tm + LARGEST_ERROR)
    signed = (predictions - tm).mean(axis=0)  # (n,)
    absolute = np.abs(predictions - tm).mean(axis=0)  # (n,)
    mean = predictions.mean(axis=0)
    lengths = known["sequence"].str.len_chars().to_numpy()
    groups = known["organism"].fill_null("unknown").to_numpy()

    def row(name: str, chosen: np.ndarray) -> list[Any]:
        return [
            name,
            int(chosen.sum()),
            round(float(absolute[chosen].mean()), 2),
            round(float(signed[chosen].mean()), 2),
        ]

    names, sizes = np.unique(groups, return_counts=True)
    ranked = [str(names[place]) for place in np.lexsort((names, -sizes))]
    shown, others = ranked[:GROUPS_MAX], ranked[GROUPS_MAX:]
    by_group = [row(name, groups == name) for name in shown]
    if others:
        by_group.append(row(f"{len(others)} others", np.isin(groups, others)))
    spread = float(mean.var())
    worst = np.lexsort((known["protein_id"].to_numpy(), -absolute))[:WORST]
    return {
        "mae": round(float(absolute.mean()), 2),
        "bias": round(float(signed.mean()), 2),
        "groups": by_group if len(ranked) > 1 else [],
        "tm": [row(*band) for band in _bands(tm, unit)],
        "length": [row(*band) for band in _bands(lengths, "residues")],
        "calibration": {
            "slope": round(float(np.cov(mean, tm, bias=True)[0, 1] / spread), 2) if spread > 1e-9 else None,
            "sd_predicted": round(spread**0.5, 1),
            "sd_measured": round(float(tm.std()), 1),
        },
        "worst": [
            [
                known["protein_id"][int(place)],
                str(groups[place]),
                int(lengths[place]),
                round(float(tm[place]), 1),
                round(float(signed[place])),
            ]
            for place in worst
        ],
    }


def _bands(values: np.ndarray, unit: str) -> list[tuple[str, np.ndarray]]:
    """(name, members) of up to BANDS bands with about equal numbers of proteins."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BANDS + 1)))
    bands = []
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        last = place == len(edges) - 2
        members = (values >= low) & ((values <= high) if last else (values < high))
        if members.any():
            bands.append((f"{low:.0f} to {high:.0f} {unit}".rstrip(), members))
    return bands or [(f"{values[0]:.0f} {unit}".rstrip(), np.ones(len(values), bool))]
