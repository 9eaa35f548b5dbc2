"""How the strategies search: step sizes, what they touch, repeats, failures, and whether they foresee effects."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.evidence.attribution import effect_error, script_of
from tmelt.evidence.difference import compare, script_identity, similarity
from tmelt.evidence.incumbents import TRIAL_KEY, searches, trial_scores
from tmelt.evidence.schema import BEHAVIOUR, FAILURES, INTEGRITY
from tmelt.evidence.tables import table
from tmelt.search.decision import seed_noise
from tmelt.search.integrity import LABELS
from tmelt.search.knobs import Knob, Space, Value
from tmelt.storage.files import canonical_json

# Of a trial without a parent, or without a score to compare.
_UNMOVED = {
    "kind": None,
    "outside": None,
    "changed_knobs": None,
    "step": None,
    "script_change": None,
    "categories": [],
    "effect": None,
    "effect_se": None,
}
_similarity = lru_cache(maxsize=4096)(similarity)  # searches compare the same pairs of scripts again and again


def behaviour(trials: pl.DataFrame, runs: pl.DataFrame, study: Path, space: Space) -> pl.DataFrame:
    """The table `behaviour`: one row per trial."""
    latency = {
        (strategy, trajectory, iteration): predict_s
        for strategy, trajectory, iteration, predict_s in trial_scores(runs).select(*TRIAL_KEY, "predict_s").iter_rows()
    }
    noise = seed_noise(trials.to_dicts())
    rows = []
    for strategy, trajectory, search in searches(trials):
        tried = {row["iteration"]: row for row in search.iter_rows(named=True)}
        knobs = {i: json.loads(row["knobs"]) for i, row in tried.items()}
        scripts: dict[str, str] = {}
        seen: dict[tuple[str, str], int] = {}
        for iteration, row in tried.items():
            if row["script"] not in scripts:
                scripts[row["script"]] = script_of(study, strategy, trajectory, iteration)
            script = scripts[row["script"]]
            parent = parent_of(row, tried)
            expected = json.loads(row["proposal"])["expected_effect"]
            moved = dict(_UNMOVED)
            if parent is not None:
                before = scripts[tried[parent]["script"]]
                moved |= _movement(before, script, knobs[parent], knobs[iteration], space)
                moved |= _effect(tried[parent], row, noise)
            identity = (script_identity(script), canonical_json([_plain(knobs[iteration]), row["fidelity"]]))
            rows.append(
                {
                    "strategy": strategy,
                    "trajectory": trajectory,
                    "iteration": iteration,
                    "origin": row["origin"],
                    "status": row["status"],
                    "decision": row["decision"],
                    "fidelity": row["fidelity"],
                    "parent": parent,
                    **moved,
                    "duplicate_of": seen.get(identity),
                    "expected_effect": expected,
                    "came_true": came_true(expected, moved["effect"], moved["effect_se"]),
                    "val_mae": row["val_mae"],
                    "parameter_count": row["parameter_count"],
                    "script_lines": row["script_lines"],
                    "predict_s": latency.get((strategy, trajectory, iteration)),
                    "pareto": False,
                }
            )
            if row["status"] != "refused":
                seen.setdefault(identity, iteration)
    errors = [row["val_mae"] if row["fidelity"] == 1 else None for row in rows]
    points = [(mae, row["parameter_count"], row["predict_s"]) for mae, row in zip(errors, rows, strict=True)]
    for index in pareto_front(points):
        rows[index]["pareto"] = True
    return table(rows, BEHAVIOUR)


def _movement(
    before: str, script: str, knobs_before: Mapping[str, Value], knobs: Mapping[str, Value], space: Space
) -> dict[str, Any]:
    """How far a candidate is from its parent, and what the change touches."""
    change = compare(before, script, knobs_before, knobs, space)
    return {
        "kind": change.kind,
        "outside": change.outside,
        "changed_knobs": len(change.knobs) + len(change.own_knobs),
        "step": knob_distance(space, knobs_before, knobs),
        "script_change": 0.0 if before == script else 1 - _similarity(before, script),
        "categories": list(change.categories),
    }


def _effect(parent: Mapping[str, Any], row: Mapping[str, Any], noise: float) -> dict[str, float | None]:
    """A trial's validation MAE minus its parent's, where both have one, of one fidelity."""
    if row["val_mae"] is None or parent["val_mae"] is None or row["fidelity"] != parent["fidelity"]:
        return {}
    return {"effect": row["val_mae"] - parent["val_mae"], "effect_se": effect_error(noise, parent, row)}


def parent_of(row: Mapping[str, Any], tried: Mapping[int, Mapping[str, Any]]) -> int | None:
    """The trial a proposal names as its parent, else the incumbent before it; None for the first."""
    if row["parent"] is not None and row["parent"] in tried and row["parent"] < row["iteration"]:
        return row["parent"]
    before = tried.get(row["iteration"] - 1)
    return before["incumbent"] if before else None


def _plain(knobs: Mapping[str, Value]) -> dict[str, Value]:
    """Knobs in which 1 and 1.0 are spelled alike."""
    return {name: float(value) if type(value) is int else value for name, value in knobs.items()}


def knob_distance(space: Space, before: Mapping[str, Value], after: Mapping[str, Value]) -> float:
    """Root mean square of the differences over the space's knobs that either has.

    A number counts on 0–1 (log where its range is); a choice, and a knob that only one of them has, as 0 or 1.
    """
    squares = [
        _knob_step(knob, before.get(knob.name), after.get(knob.name)) ** 2
        for knob in space
        if knob.name in before or knob.name in after
    ]
    return float(np.sqrt(np.mean(squares))) if squares else 0.0


def _knob_step(knob: Knob, one: Value | None, other: Value | None) -> float:
    if one is None or other is None or knob.kind == "choice":
        return float(one != other)
    low, high, a, b = (np.log(x) if knob.log else x for x in (knob.low, knob.high, float(one), float(other)))
    return min(1.0, abs(a - b) / (high - low))


def came_true(expected: float | None, effect: float | None, error: float | None) -> bool | None:
    """Whether an effect of the expected sign was seen beyond one standard error; None where that cannot be said."""
    if expected is None or expected == 0 or effect is None or error is None:
        return None
    return bool(np.sign(expected) == np.sign(effect) and abs(effect) > error)


def pareto_front(points: list[tuple[float | None, ...]]) -> list[int]:
    """Positions of points that no other point equals or beats in everything while beating it in something.

    Points with a missing value take no part. Lower is better.
    """
    known = [(point, i) for i, point in enumerate(points) if None not in point]
    front: list[tuple[tuple[float, ...], int]] = []
    for point, i in sorted(known):
        if not any(other != point and all(x <= y for x, y in zip(other, point, strict=True)) for other, _ in front):
            front.append((point, i))
    return sorted(i for _, i in front)


def failures(trials: pl.DataFrame, runs: pl.DataFrame, reference: str) -> pl.DataFrame:
    """The table `failures`: one row per trial without a score. `reference` is the reference script's SHA-256."""
    lost = trials.filter(pl.col("status") != "ok")
    failed = (
        runs.filter(pl.col("status") != "ok")
        .group_by(TRIAL_KEY, maintain_order=True)
        .agg(reason=pl.col("reason").drop_nulls().first(), failed_seeds=pl.len())
    )
    joined = lost.join(failed, on=TRIAL_KEY, how="left", maintain_order="left")
    rows = [
        {name: row[name] for name in (*TRIAL_KEY, "origin", "status", "reason", "fit_s", "cost_usd", "error")}
        | {
            "failed_seeds": row["failed_seeds"] or 0,
            "seeds": len(row["seeds"] or []),
            "in_space": row["script"] == reference,
        }
        for row in joined.iter_rows(named=True)
    ]
    return table(rows, FAILURES)


def integrity(trials: pl.DataFrame) -> pl.DataFrame:
    """The table `integrity`: the rate of each label in each strategy, zeros included."""
    rows = []
    tried = trials.filter(pl.col("iteration") > 0)
    for (strategy,), own in tried.group_by(["strategy"], maintain_order=True):
        for label in LABELS:
            labelled = own.filter(pl.col("integrity") == label)
            rows.append(
                {
                    "strategy": strategy,
                    "label": label,
                    "trials": len(labelled),
                    "of": len(own),
                    "rate": len(labelled) / len(own),
                    "searches": labelled["trajectory"].n_unique(),
                    "incumbents": int((labelled["incumbent"] == labelled["iteration"]).sum()),
                }
            )
    return table(rows, INTEGRITY)
