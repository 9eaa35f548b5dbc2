"""Which candidate of a study becomes its bundle: chosen by select, never by test."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from tmelt.bundle import BUNDLED
from tmelt.errors import InputError

if TYPE_CHECKING:
    from tmelt.evidence.winners import Confirmed


@dataclass(frozen=True)
class Chosen:
    """A candidate under confirm/, and where it comes from."""

    candidate: str
    seeds: tuple[int, ...]
    select_mae: float  # target units, mean over the seeds
    baseline: bool
    found_by: tuple[tuple[str, int, int], ...]  # (strategy, trajectory, iteration) of the searches that ended with it


def rank_winners(plan: pl.DataFrame, confirmed: "Confirmed") -> list[Chosen]:
    """The winners of all searches and the baseline, the lowest confirmed error on select first.

    Only candidates whose every fresh seed ended well count: a mean over the seeds that happened to survive is
    optimistic. Equals stay in the order of the plan, which begins with the baseline.

    Raises:
        InputError: nothing was confirmed.
    """
    candidates: dict[str, tuple[float, list[int]]] = {}
    for row in plan.filter(pl.col("purpose").is_in(list(BUNDLED))).iter_rows(named=True):
        name = row["candidate"]
        if confirmed.seeds.get(name) == sorted(row["seeds"]):
            candidates[name] = float(confirmed.errors(name, "select").mean()), row["seeds"]
    if not candidates:
        raise InputError(
            "no bundle: no winner was trained well with all of its fresh seeds; see the log.txt files under confirm/, "
            "and set extent.confirm_seeds above 0 and evidence.purposes to winner and baseline"
        )
    ranked = sorted(candidates, key=lambda name: candidates[name][0])
    return [_chosen(plan.filter(pl.col("candidate") == name), *candidates[name]) for name in ranked]


def _chosen(rows: pl.DataFrame, select_mae: float, seeds: list[int]) -> Chosen:
    """A candidate from its rows of the plan."""
    found_by = rows.filter(pl.col("purpose") == "winner").select("strategy", "trajectory", "iteration")
    return Chosen(
        rows["candidate"][0], tuple(seeds), select_mae, "baseline" in rows["purpose"], tuple(found_by.iter_rows())
    )
