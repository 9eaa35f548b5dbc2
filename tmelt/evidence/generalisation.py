"""The winners with more budget, less training data, or without an organism."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tmelt.evidence.error_model import Arm, estimate
from tmelt.evidence.metrics import none_if_nan, within_organism_correlation
from tmelt.evidence.schema import GENERALISATION, HORIZONS
from tmelt.evidence.tables import table
from tmelt.evidence.winners import Confirmed, candidate_of
from tmelt.study.group import ORGANISMS, Group

LEVEL_KINDS = ("budget", "fraction")


def generalisation(plan: pl.DataFrame, confirmed: Confirmed, group: Group = ORGANISMS) -> pl.DataFrame:
    """The table `generalisation`; the winner as it was searched for is level 1 of budget and fraction."""
    rows: list[dict[str, Any]] = []
    asked = plan.filter(pl.col("purpose").is_in([*LEVEL_KINDS, "organism"]))
    for (strategy, trajectory), part in asked.group_by("strategy", "trajectory", maintain_order=True):
        winner = candidate_of(plan, "winner", strategy, trajectory)
        key = {"role": "winner", "strategy": strategy, "trajectory": trajectory}
        entries = part.select("purpose", "candidate", "level", "organism").to_dicts()
        for kind in LEVEL_KINDS:
            if any(entry["purpose"] == kind for entry in entries):
                entries.append({"purpose": kind, "candidate": winner, "level": 1.0, "organism": None})
        entries.sort(key=lambda entry: (entry["purpose"], entry["level"] or 0.0, entry["organism"] or ""))
        rows += [key | _row(entry, winner, confirmed, group) for entry in entries]
    return table(rows, GENERALISATION)


def _row(entry: dict[str, Any], winner: str | None, confirmed: Confirmed, group: Group) -> dict[str, Any]:
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
        row["note"] = f"the search saw this {group.name} in fit and val: only the training of these weights did not"
    if candidate not in confirmed:
        return row | {"note": "not run, or every fresh seed failed"}
    tm, clusters = labels["tm"].to_numpy()[inside], labels["cluster"].to_numpy()[inside]
    predictions = confirmed.predictions[candidate][:, inside]
    level = estimate(Arm.single(np.abs(predictions - tm), confirmed.seeds[candidate]), None, clusters)
    low, high = level.interval()
    organisms = labels["organism"].to_list()
    rho = within_organism_correlation(predictions, tm, [organisms[i] for i in inside])
    row |= {
        "seeds": len(predictions),
        "test_mae": level.value,
        "low": low,
        "high": high,
        "test_within_rho": none_if_nan(float(rho.mean())),
    }
    if winner in confirmed:
        row["reference_mae"] = float(np.abs(confirmed.predictions[winner][:, inside] - tm).mean())
    return row


def horizons(plan: pl.DataFrame, confirmed: Confirmed) -> pl.DataFrame:
    """The table `horizons`: a strategy's winners at each budget and share of the data, against the search's own."""
    rows: list[dict[str, Any]] = []
    for (strategy, kind, level), pairs in _levels(plan, confirmed).items():
        arm = confirmed.arm_of_searches([candidate for candidate, _ in pairs], "test")
        found = estimate(arm, None, confirmed.clusters("test"))
        low, high = found.interval()
        row = {
            "strategy": strategy,
            "kind": kind,
            "level": level,
            "winners": len(pairs),
            "distinct": arm.searches,
            "test_mae": found.value,
            "low": low,
            "high": high,
        }
        rows.append(row | (paired_change(pairs, confirmed) if level != 1 else {}))
    return table(rows, HORIZONS)


def _levels(plan: pl.DataFrame, confirmed: Confirmed) -> dict[tuple[str, str, float], list[tuple[str, str]]]:
    """(strategy, kind, level) in ascending order: (candidate, winner) of each search that has both."""
    found: dict[tuple[str, str, float], list[tuple[str, str]]] = {}
    asked = plan.filter(pl.col("purpose").is_in(LEVEL_KINDS))
    for row in asked.sort("strategy", "purpose", "level", "trajectory").to_dicts():
        winner = candidate_of(plan, "winner", row["strategy"], row["trajectory"])
        if winner not in confirmed:
            continue
        own = found.setdefault((row["strategy"], row["purpose"], 1.0), [])
        own += [(winner, winner)] * ((winner, winner) not in own)
        if row["candidate"] in confirmed:
            found.setdefault((row["strategy"], row["purpose"], row["level"]), []).append((row["candidate"], winner))
    return dict(sorted(found.items()))


def paired_change(pairs: Sequence[tuple[str, str]], confirmed: Confirmed) -> dict[str, Any]:
    """Difference in test MAE of retrained candidates to their own winners: paired by search, seed and protein.

    Args:
        pairs: (candidate, winner) of each search.
    """
    runs, seeds, labels = [], [], []
    for candidate, winner in pairs:
        common = [seed for seed in confirmed.seeds[candidate] if seed in confirmed.seeds[winner]]
        if common:
            left, right = (
                confirmed.errors(name, "test")[[confirmed.seeds[name].index(seed) for seed in common]]
                for name in (candidate, winner)
            )
            runs.append(left - right)
            seeds.append(common)
            labels.append((confirmed.outcome(candidate), confirmed.outcome(winner)))
    if not runs:
        return {"note": "no fresh seed ended ok on both sides"}
    found = estimate(Arm.of(runs, seeds, labels), None, confirmed.clusters("test"))
    low, high = found.interval()
    return {
        "difference": found.value,
        "difference_low": low,
        "difference_high": high,
        "p_value": found.p_value(),
        "covers": ", ".join(found.covers) or None,
    }
