"""The winners with more budget, less training data, or without an organism."""

from typing import Any

import numpy as np
import polars as pl

from tmelt.evidence import statistics
from tmelt.evidence.metrics import none_if_nan, within_organism_correlation
from tmelt.evidence.schema import GENERALISATION
from tmelt.evidence.tables import table
from tmelt.evidence.winners import Confirmed, candidate_of


def generalisation(plan: pl.DataFrame, confirmed: Confirmed) -> pl.DataFrame:
    """The table `generalisation`; the winner as it was searched for is level 1 of budget and fraction."""
    rows: list[dict[str, Any]] = []
    asked = plan.filter(pl.col("purpose").is_in(["budget", "fraction", "organism"]))
    for (strategy, trajectory), part in asked.group_by("strategy", "trajectory", maintain_order=True):
        winner = candidate_of(plan, "winner", strategy, trajectory)
        key = {"role": "winner", "strategy": strategy, "trajectory": trajectory}
        entries = part.select("purpose", "candidate", "level", "organism").to_dicts()
        for kind in ("budget", "fraction"):
            if any(entry["purpose"] == kind for entry in entries):
                entries.append({"purpose": kind, "candidate": winner, "level": 1.0, "organism": None})
        entries.sort(key=lambda entry: (entry["purpose"], entry["level"] or 0.0, entry["organism"] or ""))
        rows += [key | _row(entry, winner, confirmed) for entry in entries]
    return table(rows, GENERALISATION)


def _row(entry: dict[str, Any], winner: str | None, confirmed: Confirmed) -> dict[str, Any]:
    row = {
        "kind": entry["purpose"],
        "level": entry["level"],
        "organism": entry["organism"],
        "seeds": 0,
        "test_mae": None,
        "low": None,
        "high": None,
        "reference_mae": None,
        "test_within_rho": None,
        "note": None,
    }
    labels, candidate = confirmed.labels, entry["candidate"]
    if entry["organism"] is None:
        inside = confirmed.inside("test")
    else:
        inside = np.flatnonzero((labels["organism"] == entry["organism"]).fill_null(False).to_numpy())
        row["note"] = "the search saw this organism in fit and val: only the training of these weights did not"
    if candidate not in confirmed:
        return row | {"note": "not run, or every fresh seed failed"}
    tm, clusters = labels["tm"].to_numpy()[inside], labels["cluster"].to_numpy()[inside]
    predictions = confirmed.predictions[candidate][:, inside]
    interval = statistics.mean_interval(
        np.abs(predictions - tm), clusters, statistics.generator("generalisation", candidate, entry["organism"])
    )
    organisms = labels["organism"].to_list()
    rho = within_organism_correlation(predictions, tm, [organisms[i] for i in inside])
    row |= {
        "seeds": len(predictions),
        "test_mae": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "test_within_rho": none_if_nan(float(rho.mean())),
    }
    if winner in confirmed:
        row["reference_mae"] = float(np.abs(confirmed.predictions[winner][:, inside] - tm).mean())
    return row
