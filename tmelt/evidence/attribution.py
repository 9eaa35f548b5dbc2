"""Why the winners win: which changes were kept, whether knobs alone would have done, and what each is worth."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.errors import InputError
from tmelt.evidence.confirmation import Candidate
from tmelt.evidence.difference import Change, compare, parts_of, unified_diff
from tmelt.evidence.error_model import Estimate
from tmelt.evidence.incumbents import TRIAL_KEY, searches, trial_scores
from tmelt.evidence.schema import ATTRIBUTION, CHANGES, IMPROVEMENTS
from tmelt.evidence.selection import path_to_winner
from tmelt.evidence.tables import table
from tmelt.evidence.verdict import ALPHA
from tmelt.evidence.winners import Confirmed, candidate_of
from tmelt.search.decision import seed_noise
from tmelt.search.history import Proposal
from tmelt.search.knobs import Space

FRESH, SEARCH = "fresh seeds", "search"  # where an effect or a gain comes from


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
    """The table `changes`: each step from one incumbent to the next, in every search, up to its winner.

    A step has its effect from fresh seeds where both of its ends were retrained, for whatever purpose; otherwise by the
    search's own scores.
    """
    exact = _exact_mae(runs)
    noise = seed_noise(trials.to_dicts())
    rows = []
    for strategy, trajectory, search in searches(trials):
        path = path_to_winner(search, plan)
        tried = {row["iteration"]: row for row in search.iter_rows(named=True)}
        if not path:
            continue
        score = {i: exact[(strategy, trajectory, i)] for i in path}
        gain = score[path[-1]] - score[path[0]]
        made = {i: Candidate(script_of(study, strategy, trajectory, i), json.loads(tried[i]["knobs"])) for i in path}
        for before, after in itertools.pairwise(path):
            old, new = made[before], made[after]
            change = compare(old.script, new.script, old.knobs, new.knobs, space)
            own = score[after] - score[before]
            effect, error, source = own, effect_error(noise, tried[before], tried[after]), SEARCH
            if old.name in confirmed and new.name in confirmed:
                fresh = confirmed.difference(new.name, old.name, "val")
                effect, error, source = fresh.value, fresh.se, FRESH
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
                    "effect_se": error,
                    "source": source,
                    "search_effect": own,
                    "gain_share": own / gain if gain < 0 else None,
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
    """The table `attribution`: one row per search. `changed` is the table `changes`.

    The gain and its parts come from fresh seeds where what they need was retrained, otherwise all of them from the
    search's own scores; never one part from here and another from there.
    """
    exact = _exact_mae(runs)
    baseline = candidate_of(plan, "baseline", None, None)
    rows = []
    for strategy, trajectory, search in searches(trials):
        path = path_to_winner(search, plan)
        if not path:
            continue
        own = changed.filter((pl.col("strategy") == strategy) & (pl.col("trajectory") == trajectory))
        gain = exact[(strategy, trajectory, path[-1])] - exact[(strategy, trajectory, path[0])]
        winner = candidate_of(plan, "winner", strategy, trajectory)
        projected = _projections(plan, strategy, trajectory, None).get("projected")
        confirmed_gain = _confirmed_gain(confirmed, winner, baseline)
        projected_gain = _confirmed_gain(confirmed, projected, baseline)
        split = _split_of_steps(own, FRESH) if set(own["source"]) == {FRESH} else None
        if split is None and confirmed_gain is not None and path[0] == 0:
            split = _split_of_winner(own, confirmed_gain, projected_gain)
        split = split or _split_of_steps(own, SEARCH)
        touched = own.filter(pl.col("kind").is_in(["out_of_space", "mixed"]))["iteration"]
        rows.append(
            {
                "strategy": strategy,
                "trajectory": trajectory,
                "search_gain": gain,
                "kept": len(own),
                **split,
                "in_space_share": split["in_space"] / split["gain"]
                if split["gain"] < 0 and not split["unknown"]
                else None,
                "confirmed_gain": confirmed_gain,
                "projected_gain": projected_gain,
                "switch": touched.min() if len(touched) else None,
                "note": "; ".join(_remarks(own, split, path[0])) or None,
            }
        )
    return table(rows, ATTRIBUTION)


def _split_of_steps(own: pl.DataFrame, source: str) -> dict[str, Any]:
    """A search's gain as the sum of its steps, each in space, out of space or unknown."""
    effect = own["effect"] if source == FRESH else own["search_effect"]
    steps = own.with_columns(inside=effect * own["in_space_share"], beyond=effect * (1 - own["in_space_share"]))
    outside = {
        kind: float(steps.filter(pl.col("outside") == kind)["beyond"].sum())
        for kind in ("hyperparameters", "structure")
    }
    return {
        "source": source,
        "basis": "steps",
        "gain": float(effect.sum()),
        "in_space": float(steps["inside"].sum()),
        "out_of_space": float(steps["beyond"].sum()),
        **outside,
        "unknown": float(effect.filter(own["in_space_share"].is_null()).sum()),
    }


def _split_of_winner(own: pl.DataFrame, gain: float, projected: float | None) -> dict[str, Any] | None:
    """A search's gain on fresh seeds: in space what its knobs achieve in the baseline's script; None if not trained."""
    kinds = set(own["kind"]) - {"none"}
    if kinds <= {"in_space"} or kinds == {"out_of_space"}:
        inside, basis = gain if kinds == {"in_space"} else 0.0, "kind"
    elif projected is not None:
        inside, basis = projected, "projection"
    else:
        return None
    beyond = gain - inside if kinds else 0.0
    outside = own["outside"].drop_nulls().unique().to_list()
    parts = dict.fromkeys(("hyperparameters", "structure"), None if len(outside) > 1 else 0.0)
    if len(outside) == 1:
        parts[outside[0]] = beyond
    return {
        "source": FRESH,
        "basis": basis,
        "gain": gain,
        "in_space": inside,
        "out_of_space": beyond,
        **parts,
        "unknown": gain - inside - beyond,
    }


def _remarks(own: pl.DataFrame, split: Mapping[str, Any], first: int) -> Iterator[str]:
    if split["gain"] >= 0:
        yield "no gain over the baseline " + ("on fresh seeds" if split["source"] == FRESH else "in validation")
    if first != 0:
        yield f"the baseline failed: measured from trial {first}"
    unsplit = own.filter(pl.col("in_space_share").is_null())["kind"].to_list()
    if split["basis"] == "steps" and "mixed" in unsplit:
        yield "some changes of script and knobs together were not split"
    if split["unknown"] and "none" in unsplit:
        yield "trainings of the same code and knobs differed"
    if split["structure"] is None:
        yield "other constants and structure were not trained apart"


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
