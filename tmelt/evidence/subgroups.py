"""Where the winners err: by organism, label, length and distance to the training set."""

from typing import Any

import numpy as np
import polars as pl

from tmelt.evidence.error_model import Arm, estimate
from tmelt.evidence.metrics import ORGANISM_MIN, none_if_nan, rank_correlation
from tmelt.evidence.schema import SUBGROUPS
from tmelt.evidence.tables import table
from tmelt.study.group import ORGANISMS, Group
from tmelt.study.target import TM, Target

TM_EDGES = (40.0, 50.0, 60.0, 70.0)  # of melting temperatures; other targets have fifths of their plausible range
LENGTH_EDGES = (100, 200, 400, 800)
IDENTITY_EDGES = (0.4, 0.6)
_ROLE_KEY = ["role", "strategy", "trajectory"]


def label_edges(target: Target) -> tuple[float, ...]:
    """Edges of the bands of labels."""
    if target.is_tm:
        return TM_EDGES
    low, high = target.plausible
    return tuple(float(f"{low + (high - low) * part / 5:.4g}") for part in range(1, 5))


def banded(predictions: pl.DataFrame, labels: pl.DataFrame, target: Target = TM) -> pl.DataFrame:
    """Test rows of `winner_predictions` with columns organism, tm_band, length_band and distance_band.

    Bands of measured labels: at either end any predictor with less spread than the measurements is biased to
    the middle.
    """
    joined = predictions.filter(pl.col("split") == "test").join(
        labels.select("protein_id", "identity"), on="protein_id", how="left", maintain_order="left"
    )
    return joined.with_columns(
        tm_band=_band(pl.col("tm"), label_edges(target), target.unit),
        length_band=_band(pl.col("length"), LENGTH_EDGES, "residues"),
        distance_band=pl.when(pl.col("identity") == 0)
        .then(pl.lit("0|no homologue in training"))
        .otherwise(
            _band(100 * pl.col("identity"), tuple(100 * edge for edge in IDENTITY_EDGES), "% identity", first=1)
        ),
    )


def _band(value: pl.Expr, edges: tuple[float, ...], unit: str, first: int = 0) -> pl.Expr:
    """`order|name` of the band in which a value lies; a value on an edge belongs to the upper band."""
    unit = f" {unit}" if unit else ""
    expression = pl.lit(f"{first + len(edges)}|≥ {edges[-1]:g}{unit}")
    for index in range(len(edges) - 1, 0, -1):
        name = f"{first + index}|{edges[index - 1]:g}–{edges[index]:g}{unit}"
        expression = pl.when(value < edges[index]).then(pl.lit(name)).otherwise(expression)
    return pl.when(value < edges[0]).then(pl.lit(f"{first}|< {edges[0]:g}{unit}")).otherwise(expression)


def subgroups(
    predictions: pl.DataFrame, labels: pl.DataFrame, target: Target = TM, group: Group = ORGANISMS
) -> pl.DataFrame:
    """The table `subgroups`, from `winner_predictions` (and `floor_predictions`), mean predictions over seeds."""
    frame = banded(predictions, labels, target)
    frame = _pool_small_organisms(frame, group.others)
    rows: list[dict[str, Any]] = []
    for dimension in ("organism", "tm_band", "length_band", "distance_band"):
        known = frame.drop_nulls(dimension)
        groups = known[dimension].unique().sort().to_list()
        for order, name in enumerate(sorted(groups, key=lambda name: name == group.others)):
            part = known.filter(pl.col(dimension) == name)
            rows += _group_rows(part, dimension, name, order, pooled=name == group.others)
    return table(rows, SUBGROUPS)


def _pool_small_organisms(frame: pl.DataFrame, pooled: str) -> pl.DataFrame:
    """Call groups of fewer than ORGANISM_MIN test proteins by one name, unless there is only one of them."""
    counts = frame.drop_nulls("organism").group_by("organism").agg(pl.col("protein_id").n_unique())
    small = counts.filter(pl.col("protein_id") < ORGANISM_MIN)["organism"].to_list()
    if len(small) < 2:
        return frame
    return frame.with_columns(
        organism=pl.when(pl.col("organism").is_in(small)).then(pl.lit(pooled)).otherwise("organism")
    )


def _group_rows(part: pl.DataFrame, dimension: str, group: str, order: int, *, pooled: bool) -> list[dict[str, Any]]:
    """One row per candidate; all have the same proteins."""
    keys = part.select(_ROLE_KEY).unique(maintain_order=True)
    ordered = part.sort("protein_id")
    proteins = ordered.unique("protein_id", maintain_order=True)
    clusters, tm = proteins["cluster"].to_numpy(), proteins["tm"].to_numpy()
    predictions = np.stack(
        [
            ordered.filter(pl.all_horizontal(pl.col(name).eq_missing(pl.lit(value)) for name, value in key.items()))[
                "prediction"
            ].to_numpy()
            for key in keys.iter_rows(named=True)
        ]
    )
    errors = np.abs(predictions - tm)
    ends = [group_interval(row, clusters) for row in errors]
    enough = len(tm) >= ORGANISM_MIN and not pooled
    rho = rank_correlation(predictions, tm) if enough else np.full(len(errors), np.nan)
    name = group.split("|", 1)[1] if dimension != "organism" else group
    return [
        key
        | {
            "dimension": dimension,
            "group": name,
            "order": int(group.split("|", 1)[0]) if dimension != "organism" else order,
            "proteins": len(tm),
            "mae": float(errors[i].mean()),
            "low": ends[i][0],
            "high": ends[i][1],
            "bias": float((predictions[i] - tm).mean()),
            "spearman": none_if_nan(rho[i]),
        }
        for i, key in enumerate(keys.iter_rows(named=True))
    ]


def group_interval(errors: np.ndarray, clusters: np.ndarray) -> tuple[float | None, float | None]:
    """95 % interval of the mean error over the families of a group; None with fewer than two of them.

    Args:
        errors: (proteins,) absolute errors of the mean prediction.
    """
    return estimate(Arm.single(errors), None, clusters).interval()
