"""Why the winners win: which changes were kept, whether knobs alone would have done, and what each is worth."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.decision import seed_noise
from tmelt.errors import InputError
from tmelt.evidence.difference import Change, compare, parts_of, unified_diff
from tmelt.evidence.error_model import Estimate
from tmelt.evidence.incumbents import TRIAL_KEY, searches, trial_scores
from tmelt.evidence.schema import ATTRIBUTION, CHANGES, IMPROVEMENTS
from tmelt.evidence.selection import incumbent_path
from tmelt.evidence.tables import table
from tmelt.evidence.verdict import ALPHA
from tmelt.evidence.winners import Confirmed, candidate_of
from tmelt.history import Proposal
from tmelt.knobs import Space


def script_of(study: Path, strategy: str, trajectory: int, iteration: int) -> str:
    """A trial's training script.

    Raises:
        InputError: it is not there.
    """
    path = study / strategy / f"t{trajectory}" / f"i{iteration}" / "train.py"
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None


def changes(
    trials: pl.DataFrame, runs: pl.DataFrame, plan: pl.DataFrame, confirmed: Confirmed, study: Path, space: Space
) -> pl.DataFrame:
    """The table `changes`: each step from one incumbent to the next, in every search."""
    exact = _exact_mae(runs)
    noise = seed_noise(trials.to_dicts())
    rows = []
    for strategy, trajectory, search in searches(trials):
        path = incumbent_path(search)
        tried = {row["iteration"]: row for row in search.iter_rows(named=True)}
        if not path:
            continue
        score = {i: exact[(strategy, trajectory, i)] for i in path}
        gain = score[path[-1]] - score[path[0]]
        for before, after in itertools.pairwise(path):
            change = compare(
                script_of(study, strategy, trajectory, before),
                script_of(study, strategy, trajectory, after),
                json.loads(tried[before]["knobs"]),
                json.loads(tried[after]["knobs"]),
                space,
            )
            effect = score[after] - score[before]
            share, basis = _in_space_share(change, plan, confirmed, strategy, trajectory, after)
            rows.append(
                {
                    "strategy": strategy,
                    "trajectory": trajectory,
                    "iteration": after,
                    "parent": before,
                    "position": after / max(tried) if max(tried) else 0.0,
                    "origin": tried[after]["origin"],
                    "kind": change.kind,
                    "outside": change.outside,
                    "knobs": json.dumps(change.knobs),
                    "own_knobs": json.dumps(change.own_knobs),
                    "functions": list(change.functions),
                    "lines_added": change.lines_added,
                    "lines_removed": change.lines_removed,
                    "categories": list(change.categories),
                    "effect": effect,
                    "effect_se": effect_error(noise, tried[before], tried[after]),
                    "gain_share": effect / gain if gain < 0 else None,
                    "in_space_share": share,
                    "in_space_basis": basis,
                    "rationale": json.loads(tried[after]["proposal"])["rationale"],
                    "diff": change.diff,
                }
            )
    return table(rows, CHANGES)


def _exact_mae(runs: pl.DataFrame) -> dict[tuple[str, int, int], float]:
    """Validation MAE of each trial by (strategy, trajectory, iteration), means over its seeds."""
    return {tuple(key): mae for *key, mae in trial_scores(runs).select(*TRIAL_KEY, "val_mae").iter_rows()}


def effect_error(noise: float, before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    """Standard error of a difference of two trials' means over seeds; None where the seed noise is unknown."""
    counts = [len(trial["val_mae_by_seed"] or []) for trial in (before, after)]
    return noise * float(np.sqrt(sum(1 / count for count in counts))) if noise and min(counts) else None


def _in_space_share(
    change: Change, plan: pl.DataFrame, confirmed: Confirmed, strategy: str, trajectory: int, iteration: int
) -> tuple[float | None, str]:
    """What part of a change's effect its knobs explain, and how that is known."""
    if change.kind in ("in_space", "out_of_space"):
        return float(change.kind == "in_space"), "by kind"
    if change.kind == "none":
        return None, "unknown"
    name = _projections(plan, strategy, trajectory, iteration)
    if not all(name.get(part) in confirmed for part in ("parent", "projected", "child")):
        return None, "unknown"
    mae = {part: float(confirmed.errors(candidate, "val").mean()) for part, candidate in name.items()}
    if mae["child"] >= mae["parent"]:  # on fresh seeds there is no gain to share
        return None, "unknown"
    return float(np.clip((mae["projected"] - mae["parent"]) / (mae["child"] - mae["parent"]), 0, 1)), "by projection"


def _projections(plan: pl.DataFrame, strategy: str, trajectory: int, change: int | None) -> dict[str, str]:
    """The candidates that split one kept change (its iteration), or the whole winner (None), by their part."""
    rows = plan.filter(
        (pl.col("purpose") == "projection")
        & (pl.col("strategy") == strategy)
        & (pl.col("trajectory") == trajectory)
        & pl.col("change").eq_missing(pl.lit(change, dtype=pl.Int64))
    )
    return dict(rows.select("part", "candidate").iter_rows())


def attribution(
    changed: pl.DataFrame, trials: pl.DataFrame, runs: pl.DataFrame, plan: pl.DataFrame, confirmed: Confirmed
) -> pl.DataFrame:
    """The table `attribution`: one row per search. `changed` is the table `changes`."""
    exact = _exact_mae(runs)
    baseline = candidate_of(plan, "baseline", None, None)
    rows = []
    for strategy, trajectory, search in searches(trials):
        path = incumbent_path(search)
        if not path:
            continue
        own = changed.filter((pl.col("strategy") == strategy) & (pl.col("trajectory") == trajectory))
        gain = exact[(strategy, trajectory, path[-1])] - exact[(strategy, trajectory, path[0])]
        inside = float((own["effect"] * own["in_space_share"]).sum())
        outside = float((own["effect"] * (1 - own["in_space_share"])).sum())
        beyond = {
            kind: float((rows_of["effect"] * (1 - rows_of["in_space_share"])).sum())
            for kind in ("hyperparameters", "structure")
            for rows_of in [own.filter(pl.col("outside") == kind)]
        }
        unknown = float(own.filter(pl.col("in_space_share").is_null())["effect"].sum())
        touched = own.filter(pl.col("kind").is_in(["out_of_space", "mixed"]))["iteration"]
        notes = []
        if gain >= 0:
            notes.append("no gain over the baseline in validation")
        if path[0] != 0:
            notes.append(f"the baseline failed: measured from trial {path[0]}")
        unsplit = own.filter(pl.col("in_space_share").is_null())["kind"].to_list()
        if "mixed" in unsplit:
            notes.append("some changes of script and knobs together were not split")
        if unknown and "none" in unsplit:
            notes.append("trainings of the same code and knobs differed")
        winner = candidate_of(plan, "winner", strategy, trajectory)
        projected = _projections(plan, strategy, trajectory, None).get("projected")
        rows.append(
            {
                "strategy": strategy,
                "trajectory": trajectory,
                "gain": gain,
                "kept": len(own),
                "in_space": inside,
                "out_of_space": outside,
                **beyond,
                "unknown": unknown,
                "in_space_share": inside / gain if gain < 0 and not unknown else None,
                "confirmed_gain": _confirmed_gain(confirmed, winner, baseline),
                "projected_gain": _confirmed_gain(confirmed, projected, baseline),
                "switch": touched.min() if len(touched) else None,
                "note": "; ".join(notes) or None,
            }
        )
    return table(rows, ATTRIBUTION)


def _confirmed_gain(confirmed: Confirmed, candidate: str | None, baseline: str | None) -> float | None:
    if candidate not in confirmed or baseline not in confirmed:
        return None
    return confirmed.difference(candidate, baseline, "val").value


def improvements(
    changed: pl.DataFrame,
    plan: pl.DataFrame,
    confirmed: Confirmed,
    confirmed_runs: pl.DataFrame,
    study: Path,
    space: Space,
) -> pl.DataFrame:
    """The table `improvements`: what each kept change of the winners is worth, by leaving it out.

    The effect of one change given all others: of two changes that do the same, each counts 0; of two that need each
    other, each counts the whole gain. A change whose lines a later one touched cannot be left out alone: it has a row
    without an effect. `changed` is the table `changes`.
    """
    seconds = {
        (candidate, seed): fit_s
        for candidate, seed, status, fit_s in confirmed_runs.select("candidate", "seed", "status", "fit_s").iter_rows()
        if status == "ok"
    }
    folder = study / "confirm"
    winners = {
        (row["strategy"], row["trajectory"]): Proposal.read(folder / row["candidate"])
        for row in plan.filter(pl.col("purpose") == "winner").iter_rows(named=True)
    }
    rows = []
    ablated = plan.filter(pl.col("purpose") == "ablation")
    for entry in ablated.iter_rows(named=True):
        key = (entry["strategy"], entry["trajectory"])
        name = candidate_of(plan, "winner", *key)
        if name is None:
            continue
        without = Proposal.read(folder / entry["candidate"])
        rows.append(
            {
                "rank": None,
                "strategy": key[0],
                "trajectory": key[1],
                "iteration": entry["change"],
                "part": entry["part"],
                "kind": "out_of_space" if entry["part"] == "script" else "in_space",
                "change": _in_words(entry["part"], without, winners[key]),
                "found_in": _found_in(entry["part"], without, winners[key], winners.values(), space),
                "diff": unified_diff(without.script, winners[key].script)[0],
                "note": None,
            }
            | _effect(confirmed, name, entry["candidate"], seconds, len(ablated))
        )
    rows += _overlapped(changed, ablated)
    order = {"confirmed": 0, "suggestive": 1, "none": 2, "harmful": 3, "not run": 4}

    def worst_case(row: dict[str, Any]) -> tuple:
        bound = row["high"] if row["high"] is not None else row["effect"]
        return (
            order[row["evidence"]],
            np.inf if bound is None else bound,
            row["strategy"],
            row["trajectory"],
            row["part"],
        )

    rows.sort(key=worst_case)
    return table([row | {"rank": rank} for rank, row in enumerate(rows, 1)], IMPROVEMENTS)


_NOT_RUN = {"effect": None, "low": None, "high": None, "seeds": 0, "cost_fit_s": None, "evidence": "not run"}


def _overlapped(changed: pl.DataFrame, ablated: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows for kept changes of scripts that could not be left out, in the searches whose changes were."""
    keys = ["strategy", "trajectory"]
    left_out = ablated.filter(pl.col("part") == "script").select(*keys, iteration="change")
    rows = (
        changed.filter(pl.col("functions").list.len() > 0)
        .join(ablated.select(keys).unique(), on=keys, how="semi")
        .join(left_out, on=[*keys, "iteration"], how="anti")
    )
    return [
        {
            "rank": None,
            "strategy": row["strategy"],
            "trajectory": row["trajectory"],
            "iteration": row["iteration"],
            "part": "script",
            "kind": "out_of_space",
            "change": f"script: {', '.join(row['functions'])}",
            "found_in": None,
            "diff": row["diff"],
            "note": "cannot be left out alone: a later change touches its lines, or nothing is left of it",
        }
        | _NOT_RUN
        for row in rows.to_dicts()
    ]


def _effect(
    confirmed: Confirmed, winner: str, without: str, seconds: Mapping[tuple[str, int], float], changes: int
) -> dict[str, Any]:
    """Effect of a change, its interval, cost and level of evidence."""
    if winner not in confirmed or without not in confirmed:
        return _NOT_RUN
    found = confirmed.difference(winner, without, "test")
    low, high = found.interval()
    common = set(confirmed.seeds[winner]) & set(confirmed.seeds[without])
    added = [seconds[(winner, seed)] - seconds[(without, seed)] for seed in common]
    return {
        "effect": found.value,
        "low": low,
        "high": high,
        "seeds": len(common),
        "cost_fit_s": float(np.mean(added)) if added else None,
        "evidence": evidence_level(found, changes),
    }


def evidence_level(found: Estimate, changes: int) -> str:
    """What an effect's interval allows to say, given how many changes the page tests by leaving them out.

    confirmed and harmful: p below 0.05 / changes (Bonferroni; all these effects share the winner's own errors, so
    without it one lucky winner would confirm them all); suggestive: better by at least one standard error.
    """
    p_value = found.p_value()
    if p_value is None:
        return "none"
    if p_value * changes < ALPHA:
        return "confirmed" if found.value < 0 else "harmful"
    return "suggestive" if found.value < -(found.se or 0.0) else "none"


def _in_words(part: str, without: Proposal, winner: Proposal) -> str:
    if part != "script":
        return f"{part}: {without.knobs.get(part)} → {winner.knobs.get(part)}"
    names = [name for name, _ in _script_parts(without.script, winner.script)]
    return f"script: {', '.join(names)}" if names else "script"


def _script_parts(before: str, after: str) -> Iterator[tuple[str, str | None]]:
    """Named parts that differ, and their tree afterwards (None where a part is gone)."""
    old, new = parts_of(before), parts_of(after)
    for name in [*old, *(name for name in new if name not in old)]:
        if old.get(name) != new.get(name):
            yield name, new.get(name)


def _found_in(part: str, without: Proposal, winner: Proposal, winners: Iterable[Proposal], space: Space) -> int:
    """How many searches' winners have this very change: the knob's new value, or every changed part of the script.

    Numbers count as the same within a twentieth of the knob's range, in the logarithm where its range is.
    """
    if part != "script":
        value = winner.knobs.get(part)
        return sum(part in other.knobs and _near(space, part, other.knobs[part], value) for other in winners)
    changed = dict(_script_parts(without.script, winner.script))
    return sum(all(parts_of(other.script).get(name) == tree for name, tree in changed.items()) for other in winners)


def _near(space: Space, name: str, one: Any, other: Any) -> bool:
    knob = space[name]
    if knob.kind == "choice":
        return one == other
    low, high, a, b = (np.log(x) if knob.log else x for x in (knob.low, knob.high, one, other))
    return abs(a - b) <= 0.05 * (high - low)
