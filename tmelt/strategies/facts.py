"""Facts of the task that a strategy may know: no label of val, select or test, and no score of select or test."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.storage.schema import PROTEINS, read_table
from tmelt.study.protocol_record import Protocol
from tmelt.study.target import TM, Target

GROUPS_MAX = 8  # the largest groups are named
_SPLIT = {
    "given": "the table's own column says which protein is in which part",
    "cluster": "by clusters of homologous sequences, which are never divided between parts; so an estimate that leaves"
    " out single proteins of fit is too low, because their homologues stay in",
    "hash": "by a hash of the sequence; homologues may be in different parts",
}


def facts_of(protocol: Protocol, proteins: Path) -> dict[str, Any]:
    """Data, embedding and budget of a study, and the labels of fit and stop, for an agent's prompt.

    Args:
        protocol: protocol.json.
        proteins: proteins.parquet.
    """
    data, embedding, design = protocol.data, protocol.measured.embedding, protocol.design
    return {
        "objective": f"mean over training seeds of the validation MAE{design.target.in_unit}; lower is better",
        **({"a higher label": design.target.higher_is} if design.target.higher_is else {}),
        "proteins": data.splits,
        "data": data.description,
        "split": _SPLIT.get(str(data.split.get("method")), "not known"),
        "embedding": {key: getattr(embedding, key) for key in ("backbone", "width", "layer", "untrained")},
        "budget": design.budget,
        "clock of the budget": "wall-clock time" if design.device == "cuda" else "CPU time per granted thread",
        "cores of a run": design.threads,
        "sequences": design.sequences,
        "precision": design.precision,
        "device": design.device,
        **open_labels(read_table(proteins, PROTEINS), design.target),
    }


def open_labels(proteins: pl.DataFrame, target: Target = TM) -> dict[str, Any]:
    """Labels of fit and stop by split and group, and the errors of reference predictors on stop.

    Args:
        proteins: tmelt.storage.schema.PROTEINS.
        target: what is predicted.
    """
    known = proteins.filter(pl.col("split").is_in(["fit", "stop"])).drop_nulls("tm").sort("protein_id")
    facts = {}
    for part in ("fit", "stop"):
        tm = known.filter(pl.col("split") == part)["tm"].to_numpy()
        if len(tm):
            low, first, middle, third, high = np.quantile(tm, [0, 0.25, 0.5, 0.75, 1])
            facts[f"labels of {part}"] = (
                f"mean {target.amount(f'{tm.mean():.1f}')}, standard deviation {tm.std():.1f}, quartiles {first:.1f},"
                f" {middle:.1f} and {third:.1f}, from {low:.1f} to {high:.1f}"
            )
    counted = (
        known.filter(pl.col("organism").is_not_null())
        .group_by("organism")
        .agg(
            fit=(pl.col("split") == "fit").sum(),
            stop=(pl.col("split") == "stop").sum(),
            tm=pl.col("tm").filter(pl.col("split") == "fit").mean(),
        )
        .sort("fit", "organism", descending=[True, False])
    )
    if len(counted):
        rows = [
            f"{name}: {fit} in fit, {stop} in stop"
            + ("" if tm is None else f", mean of fit {target.amount(f'{tm:.1f}')}")
            for name, fit, stop, tm in counted.head(GROUPS_MAX).iter_rows()
        ]
        more = [f"{len(counted) - GROUPS_MAX} more"] if len(counted) > GROUPS_MAX else []
        facts["groups, which no candidate is told"] = "; ".join([*rows, *more])
    if errors := reference_errors(known):
        facts["reference predictors, MAE on stop"] = "; ".join(
            f"{name} {target.amount(f'{mae:.2f}')}" for name, mae in errors.items()
        )
    return facts


def reference_errors(known: pl.DataFrame) -> dict[str, float]:
    """MAE on stop of predictors fitted on fit: its median, its means by group, a ridge regression.

    Args:
        known: protein_id, sequence, organism, split and tm of the proteins of fit and stop.
    """
    fit, stop = ((known["split"] == part).to_numpy() for part in ("fit", "stop"))
    if not fit.any() or not stop.any():
        return {}
    tm = known["tm"].to_numpy()
    found = {"median of fit": np.full(len(tm), np.median(tm[fit]))}
    groups = known["organism"].fill_null("").to_numpy()
    if len(set(groups)) > 1:
        means = {group: tm[fit & (groups == group)].mean() for group in set(groups[fit])}
        found["mean of fit by group"] = np.array([means.get(group, tm[fit].mean()) for group in groups])
    found["ridge on composition and log length"] = _ridge(known["sequence"].to_list(), tm, fit)
    return {name: float(np.abs(values - tm)[stop].mean()) for name, values in found.items()}


def _ridge(sequences: list[str], tm: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Predictions (n,) of a ridge regression with a penalty of one standard deviation."""
    counts = np.array([[sequence.count(letter) for letter in "ACDEFGHIKLMNPQRSTVWY"] for sequence in sequences], float)
    lengths = np.array([[len(sequence)] for sequence in sequences], float)
    features = np.hstack([counts / lengths, np.log(lengths)])  # (n, 21)
    spread = features[fit].std(axis=0)
    features = (features - features[fit].mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    inside, mean = features[fit], tm[fit].mean()
    weights = np.linalg.solve(inside.T @ inside + np.eye(inside.shape[1]), inside.T @ (tm[fit] - mean))
    return features @ weights + mean
