"""What to train after the search: winners and baseline on fresh seeds, and what tells why the winners win.

A plan row says why a candidate is trained; its folder under results/{study}/confirm/ is named by a hash of what is
trained, so that two purposes with the same candidate share its runs. Nothing here looks at a test label.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import polars as pl

from tmelt.errors import InputError
from tmelt.evidence.coalitions import arrival, coalitions
from tmelt.evidence.difference import changed_parts, compare, revert_change
from tmelt.evidence.metrics import ORGANISM_MIN
from tmelt.evidence.schema import PLAN
from tmelt.evidence.selection import best_searches, incumbent_path, winners_of
from tmelt.evidence.tables import table
from tmelt.harness.variation import Variation
from tmelt.search.history import Proposal
from tmelt.search.knobs import Space, Value
from tmelt.storage.files import sha256_json, sha256_text
from tmelt.study.config import Purpose

PURPOSES = get_args(Purpose)
BUDGET_FACTORS = (2.0, 4.0)
FIT_FRACTIONS = (0.25, 0.5)


@dataclass(frozen=True)
class Candidate:
    """What is trained: a script with knob values, on this much time and data."""

    script: str
    knobs: Mapping[str, Value]
    budget_factor: float = 1.0
    fit_fraction: float = 1.0
    without_organism: str | None = None

    @property
    def name(self) -> str:
        """Folder name: a hash of everything that decides what is trained."""
        identity = [
            sha256_text(self.script),
            {key: float(value) if type(value) is int else value for key, value in self.knobs.items()},
            self.budget_factor,
            self.fit_fraction,
            self.without_organism,
        ]
        return f"c{sha256_json(identity)[:12]}"


def plan_confirmation(
    trials: pl.DataFrame,
    considered: pl.DataFrame,
    study: Path,
    space: Space,
    seeds: Sequence[int],
    *,
    purposes: Iterable[str] = ("winner", "baseline"),
    every_search: bool = False,
    organisms: Iterable[str] = (),
    interaction_runs: int = 12,
) -> tuple[pl.DataFrame, dict[str, Candidate]]:
    """Which candidates to train on fresh seeds, and why.

    Args:
        trials: tmelt.storage.schema.TRIAL of all searches.
        considered: the table `last_incumbents`, which says what each search's winner is.
        study: results/{study}, where the trials' scripts lie.
        space: the study's knobs.
        seeds: fresh seeds.
        purposes: of PURPOSES. All but winner and baseline concern the best search of each strategy.
        every_search: ... or every search.
        organisms: those left out one after the other, for purpose `organism`.
        interaction_runs: most candidates per search besides winner and baseline, for purpose `interaction`.

    Returns:
        the plan (tmelt.evidence.schema.PLAN) and the candidates by folder name.

    Raises:
        InputError: an unknown purpose, or a fresh seed that the search used.
    """
    purposes = set(purposes)
    if unknown := purposes - set(PURPOSES):
        raise InputError(f"purposes: {sorted(unknown)[0]!r} is not one of {', '.join(PURPOSES)}")
    used = set(trials.explode("seeds")["seeds"].drop_nulls()) if len(trials) else set()
    if used & set(seeds):
        raise InputError(f"fresh seeds: {min(used & set(seeds))} was used in the search; choose others")
    if not seeds:
        return table([], PLAN), {}
    rows, candidates = [], {}
    for row, candidate in _entries(
        trials, considered, study, space, purposes, every_search, list(organisms), interaction_runs
    ):
        candidates[candidate.name] = candidate
        rows.append(
            {"change": None, "part": None, "level": None, "organism": None, "strategy": None, "trajectory": None}
            | row
            | {
                "candidate": candidate.name,
                "seeds": list(seeds),
                "budget_factor": candidate.budget_factor,
                "fit_fraction": candidate.fit_fraction,
                "without_organism": candidate.without_organism,
            }
        )
    return table(rows, PLAN), candidates


def organisms_to_leave_out(proteins: pl.DataFrame) -> list[str]:
    """The organisms whose absence from training can be measured, in alphabetical order.

    They have test proteins enough for a rank correlation, were trained on at all, and leave something to fit and to
    stop on.

    Args:
        proteins: proteins.parquet.
    """
    counts = proteins.filter(pl.col("split") == "test")["organism"].drop_nulls().value_counts()
    tested = counts.filter(pl.col("count") >= ORGANISM_MIN)["organism"].sort()
    training = proteins.filter(pl.col("split").is_in(["fit", "stop"]))
    found = []
    for organism in tested:
        left = training.filter(pl.col("organism").ne_missing(pl.lit(organism)))
        if len(left) < len(training) and set(left["split"]) == {"fit", "stop"}:
            found.append(organism)
    return found


def write_candidates(folder: Path, plan: pl.DataFrame, candidates: Mapping[str, Candidate]) -> None:
    """Write proposal.json and train.py of each candidate into {folder}/{candidate}/, ready to be trained."""
    reasons = plan.group_by("candidate", maintain_order=True).agg(pl.col("purpose").unique(maintain_order=True))
    for name, purposes in reasons.iter_rows():
        candidate = candidates[name]
        Proposal(
            knobs=dict(candidate.knobs),
            script=candidate.script,
            origin="confirmation",
            rationale=f"confirmation: {', '.join(purposes)}",
            variation=Variation(candidate.budget_factor, candidate.fit_fraction, candidate.without_organism),
        ).write(folder / name)


def _entries(
    trials: pl.DataFrame,
    considered: pl.DataFrame,
    study: Path,
    space: Space,
    purposes: set[str],
    every_search: bool,
    organisms: list[str],
    interaction_runs: int,
) -> Iterator[tuple[dict[str, Any], Candidate]]:
    chosen = best_searches(trials, considered)
    baselines = trials.filter(pl.col("iteration") == 0).sort("strategy", "trajectory")
    baseline = _read(study, baselines.row(0, named=True)) if len(baselines) else None
    if "baseline" in purposes and baseline:
        yield {"purpose": "baseline", "iteration": 0}, baseline
    if "incumbent" in purposes:
        for row in trials.join(considered, on=["strategy", "trajectory", "iteration"], how="semi").to_dicts():
            yield (
                {key: row[key] for key in ("strategy", "trajectory", "iteration")} | {"purpose": "incumbent"},
                _read(study, row),
            )
    for winner in winners_of(trials, considered):
        about = {key: winner[key] for key in ("strategy", "trajectory", "iteration")}
        candidate = _read(study, winner)
        if "winner" in purposes:
            yield about | {"purpose": "winner"}, candidate
        if not every_search and (winner["strategy"], winner["trajectory"]) not in chosen:
            continue
        path = _read_path(trials, study, winner)
        if "ablation" in purposes:
            for change, part, ablated in ablations(path, space):
                yield about | {"purpose": "ablation", "change": change, "part": part}, ablated
        if "projection" in purposes:
            for change, part, projected in projections(path, space):
                yield about | {"purpose": "projection", "change": change, "part": part}, projected
        if "interaction" in purposes:
            for kept, subset in coalitions(path, space, _gains(trials, winner, path), interaction_runs):
                yield about | {"purpose": "interaction", "part": kept}, subset
        if "budget" in purposes:
            for factor in BUDGET_FACTORS:
                yield about | {"purpose": "budget", "level": factor}, replace(candidate, budget_factor=factor)
        if "fraction" in purposes:
            for fraction in FIT_FRACTIONS:
                yield about | {"purpose": "fraction", "level": fraction}, replace(candidate, fit_fraction=fraction)
        if "organism" in purposes:
            for organism in organisms:
                yield (
                    about | {"purpose": "organism", "organism": organism},
                    replace(candidate, without_organism=organism),
                )


def _read(study: Path, trial: Mapping[str, Any]) -> Candidate:
    """A trial's candidate."""
    folder = study / trial["strategy"] / f"t{trial['trajectory']}" / f"i{trial['iteration']}"
    try:
        script = (folder / "train.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{folder / 'train.py'}: {error}") from None
    if sha256_text(script) != trial["script"]:
        raise InputError(f"{folder / 'train.py'}: not the script that the trial was run with; restore it")
    return Candidate(script, json.loads(trial["knobs"]))


def _read_path(trials: pl.DataFrame, study: Path, winner: Mapping[str, Any]) -> list[tuple[int, Candidate]]:
    """The candidates along the incumbents of a search up to its winner: (iteration, candidate)."""
    search = trials.filter((pl.col("strategy") == winner["strategy"]) & (pl.col("trajectory") == winner["trajectory"]))
    rows = {row["iteration"]: row for row in search.iter_rows(named=True)}
    path = incumbent_path(search)
    return [(iteration, _read(study, rows[iteration])) for iteration in path[: path.index(winner["iteration"]) + 1]]


def _gains(trials: pl.DataFrame, winner: Mapping[str, Any], path: Sequence[tuple[int, Candidate]]) -> dict[int, float]:
    """Change of validation MAE that each step of a winner's path brought, by the search's own scores."""
    search = trials.filter((pl.col("strategy") == winner["strategy"]) & (pl.col("trajectory") == winner["trajectory"]))
    score = dict(search.select("iteration", "val_mae").iter_rows())
    return {after: score[after] - score[before] for (before, _), (after, _) in itertools.pairwise(path)}


def ablations(path: Sequence[tuple[int, Candidate]], space: Space) -> Iterator[tuple[int, str, Candidate]]:
    """The winner without each of its changes: (iteration that brought it, knob or `script`, candidate).

    A knob goes back to the baseline's value. A script's change is taken back where no later change touched its lines;
    where one did it cannot be left out alone, and there is no entry. Knobs that a script declares belong to the script.
    """
    (_, first), (_, winner) = path[0], path[-1]
    for name in [name for name in winner.knobs if name in space]:
        default = first.knobs.get(name, space[name].default)
        if default == winner.knobs[name]:
            continue
        known = {key: value for key, value in (dict(winner.knobs) | {name: default}).items() if key in space}
        own = {key: value for key, value in winner.knobs.items() if key not in space}
        yield arrival(path, name), name, replace(winner, knobs=space.complete(known) | own)
    for (_, before), (iteration, after) in itertools.pairwise(path):
        if not changed_parts(before.script, after.script):
            continue
        reverted = revert_change(winner.script, before.script, after.script)
        if reverted is None or not changed_parts(reverted, winner.script):
            continue
        gone = (set(after.knobs) - set(before.knobs)) - {knob.name for knob in space}
        left = {key: value for key, value in winner.knobs.items() if key not in gone}
        yield iteration, "script", replace(winner, script=reverted, knobs=left)


def projections(path: Sequence[tuple[int, Candidate]], space: Space) -> Iterator[tuple[int | None, str, Candidate]]:
    """What the knobs alone achieve: (iteration or None for the whole winner, part, candidate).

    For the whole winner: the baseline's script with the winner's reference knobs. For each change of both script and
    knobs: the script before with the knobs after (`projected`), and what stood before and after it (`parent`,
    `child`), so that all three are measured on the same fresh seeds.
    """
    (_, first), (_, winner) = path[0], path[-1]
    if changed_parts(first.script, winner.script):
        knobs = {name: value for name, value in winner.knobs.items() if name in space}
        yield None, "projected", replace(winner, script=first.script, knobs=space.complete(knobs))
    for (_, before), (iteration, after) in itertools.pairwise(path):
        change = compare(before.script, after.script, before.knobs, after.knobs, space)
        if change.kind != "mixed":
            continue
        knobs = {name: value for name, value in after.knobs.items() if name in space}
        own = {name: value for name, value in before.knobs.items() if name not in space}
        yield iteration, "projected", replace(before, knobs=space.complete(knobs) | own)
        yield iteration, "parent", before
        yield iteration, "child", after
