"""Errors on slightly changed proteins: a model hardly notices the change, a table no longer recognises the protein.

Loss of accuracy is what tells them apart, not the size of the change: an honest but badly conditioned model may move
by several degrees and be as wrong as before. `LOST_SHARE` was set by measurement (tests/evidence/test_robustness.py
names the figures).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tmelt.bundle import BUNDLED
from tmelt.evidence.schema import ROBUSTNESS
from tmelt.evidence.tables import table
from tmelt.harness.perturbation import KINDS

LOST_SHARE = 0.25  # of the error on changed proteins that the unchanged ones do not have
LOST_Z = 3.0  # standard errors over protein families
FEWEST = 20  # proteins


def robustness(perturbed: Sequence[pl.DataFrame], plan: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """The table `robustness`: one row per winner or baseline and kind of change.

    Args:
        perturbed: tmelt.evidence.schema.PERTURBED of each candidate.
        plan: tmelt.evidence.schema.PLAN.
        labels: tmelt.evidence.schema.OPENED_LABELS.
    """
    measured = {frame["candidate"][0]: _measure(frame, labels) for frame in perturbed if len(frame)}
    rows = []
    for entry in plan.filter(pl.col("purpose").is_in(list(BUNDLED))).iter_rows(named=True):
        about = {
            "role": entry["purpose"],
            "strategy": entry["strategy"],
            "trajectory": entry["trajectory"],
            "candidate": entry["candidate"],
        }
        rows += [about | row for row in measured.get(entry["candidate"], [])]
    return table(rows, ROBUSTNESS)


def _measure(frame: pl.DataFrame, labels: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of one candidate, without its name."""
    notes = frame["note"].drop_nulls()
    if len(notes):
        return [{"kind": None, "note": notes[0]}]
    known = labels.select("protein_id", "tm", "length", "cluster")
    own = (
        frame.join(known, on="protein_id", how="left", maintain_order="left")
        .join(known.rename(lambda name: f"partner_{name}" if name != "protein_id" else "partner"), on="partner",
              how="left", maintain_order="left")
    )  # fmt: skip
    same = own.filter(pl.col("kind") == "same").select(
        "seed", "protein_id", unchanged="prediction", error=(pl.col("prediction") - pl.col("tm")).abs()
    )
    own = own.join(same, on=["seed", "protein_id"], how="left", maintain_order="left").join(
        same.select("seed", partner="protein_id", partner_unchanged="unchanged", partner_error="error"),
        on=["seed", "partner"],
        how="left",
        maintain_order="left",
    )
    # A joined protein is expected where its residues put it, between both.
    share = pl.when(pl.col("partner").is_null()).then(1.0)
    share = share.otherwise(pl.col("length") / (pl.col("length") + pl.col("partner_length")))

    def between(one: str) -> pl.Expr:
        return share * pl.col(one) + (1 - share) * pl.col(f"partner_{one}").fill_null(0.0)

    own = own.with_columns(
        change=(pl.col("prediction") - between("unchanged")).abs(),
        before=between("error"),
        after=(pl.col("prediction") - between("tm")).abs(),
    )
    return [
        _row(kind, own.filter(pl.col("kind") == kind))
        for kind in KINDS
        if kind != "same" and (own["kind"] == kind).any()
    ]


def _row(kind: str, changed: pl.DataFrame) -> dict[str, Any]:
    """What one kind of change did."""
    seeds = changed["seed"].n_unique()
    proteins = changed.group_by("protein_id", maintain_order=True).agg(
        pl.col("cluster").first(), pl.col("change", "before", "after").mean()
    )
    lost = proteins["after"] - proteins["before"]
    mean, after = float(lost.mean()), float(proteins["after"].mean())
    error = _family_error(lost.to_numpy(), proteins["cluster"].to_list())
    enough = len(proteins) >= FEWEST
    return {
        "kind": kind,
        "proteins": len(proteins),
        "seeds": seeds,
        "change": float(proteins["change"].mean()),
        "mae": float(proteins["before"].mean()),
        "mae_changed": after,
        "lost": mean,
        "lost_se": error,
        "lost_share": mean / after if after > 0 else 0.0,
        "flagged": (mean > LOST_SHARE * after and mean > LOST_Z * error) if enough else None,
        "note": None if enough else f"fewer than {FEWEST} proteins: not judged",
    }


def _family_error(values: np.ndarray, families: Sequence[str]) -> float:
    """Standard error of a mean over proteins whose families are independent."""
    _, family = np.unique(families, return_inverse=True)
    sums = np.bincount(family, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum() * len(sums) / max(1, len(sums) - 1)) / len(values))
