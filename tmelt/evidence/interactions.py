"""What each change of a winner is worth among all of them (Shapley values), and how the two largest act together."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.evidence.coalitions import Player, units_of
from tmelt.evidence.error_model import Arm, Estimate, estimate
from tmelt.evidence.schema import INTERACTIONS
from tmelt.evidence.shapley import Subset, mirrored_orders, pair_weights, shapley_weights
from tmelt.evidence.tables import table
from tmelt.evidence.winners import Confirmed
from tmelt.search.history import Proposal

_INACTIVE = "inactive"  # a knob that does not count with the others' values
_NOT_TRAINED = "not known: candidates failed, and no order with its mirror image is complete"


def interactions(changed: pl.DataFrame, plan: pl.DataFrame, confirmed: Confirmed, study: Path) -> pl.DataFrame:
    """The table `interactions`: a row per change, and one for the pair, of each search that has subsets of changes.

    The changes' effects add up to the winner's gain over the baseline on the same fresh seeds. `changed` is the table
    `changes`.
    """
    rows = []
    planned = plan.filter(pl.col("purpose") == "interaction")
    for (strategy, trajectory), entries in planned.group_by("strategy", "trajectory", maintain_order=True):
        subsets = {
            frozenset(units_of(part)): candidate for part, candidate in entries.select("part", "candidate").iter_rows()
        }
        game = Game.of(subsets, confirmed)
        own = changed.filter((pl.col("strategy") == strategy) & (pl.col("trajectory") == trajectory))
        functions = dict(own.select("iteration", "functions").iter_rows())
        before, after = (
            Proposal.read(study / "confirm" / subsets[kept]).knobs for kept in (frozenset(), frozenset(game.players))
        )
        about = {
            "strategy": strategy,
            "trajectory": trajectory,
            "iteration": entries["iteration"][0],
            "seeds": len(game.seeds),
            "orders": len(game.orders),
            "complete": len(game.candidates) == 2 ** len(game.players),
        }
        told = {player: _in_words(player, before, after, functions) for player in game.players}
        for player in game.players:
            rows.append(
                about
                | {"term": "change", "kind": _kind(player), "change": told[player], "joined": len(player)}
                | _measured(game, game.value(player, "test") if game.orders else None)
            )
        if pair := game.largest_pair():
            rows.append(
                about
                | {
                    "term": "pair",
                    "kind": _kind([unit for player in pair for unit in player]),
                    "change": " × ".join(told[player] for player in pair),
                    "joined": sum(map(len, pair)),
                    "orders": None,
                }
                | _measured(game, game.combination(pair_weights(game.players, *pair), "test"))
            )
    return table(rows, INTERACTIONS)


@dataclass(frozen=True)
class Game:
    """A winner's changes as players, and the error of each subset of them that was trained."""

    confirmed: Confirmed
    players: list[Player]
    candidates: Mapping[Subset, str]  # subset: candidate, with at least one of the common seeds
    seeds: list[int]  # fresh seeds that all of these candidates have
    orders: list[tuple[Player, ...]]
    failed: int  # subsets without a single run

    @classmethod
    def of(cls, subsets: Mapping[Subset, str], confirmed: Confirmed) -> "Game":
        """From all planned subsets; those whose candidate failed with every seed are left out.

        Args:
            subsets: the changes that are kept: candidate. The largest has all changes.
        """
        players = sorted(max(subsets, key=len))
        trained = {kept: candidate for kept, candidate in subsets.items() if candidate in confirmed}
        common = [set(confirmed.seeds[candidate]) for candidate in trained.values()]
        seeds = sorted(set.intersection(*common)) if common else []
        return cls(
            confirmed,
            players,
            trained,
            seeds,
            mirrored_orders(players, trained) if seeds else [],
            len(subsets) - len(trained),
        )

    def value(self, player: Player, split: str) -> Estimate:
        """A change's Shapley value in target units: the mean over the orders of what it adds to those before it."""
        return self.combination(shapley_weights(self.orders, player), split)

    def combination(self, weights: Mapping[Subset, float], split: str) -> Estimate:
        """Weighted sum of the subsets' MAE in target units, paired over proteins and the common seeds.

        Args:
            weights: subset: weight; they sum to 0. Weights of subsets that are the same candidate are added first.

        Returns:
            0 without parts, and so without an interval, if only one candidate is left.
        """
        total: dict[str, float] = {}
        for kept, weight in weights.items():
            total[self.candidates[kept]] = total.get(self.candidates[kept], 0.0) + weight
        sides = []
        for sign in (1, -1):
            signed = {candidate: abs(weight) for candidate, weight in total.items() if sign * weight > 1e-12}
            if not signed:
                return Estimate(0.0, {})
            sides.append(
                Arm.single(sum(weight * self._errors(name, split) for name, weight in signed.items()), self.seeds)
            )
        return estimate(*sides, self.confirmed.clusters(split))

    def _errors(self, candidate: str, split: str) -> np.ndarray:
        """(common seeds, proteins) absolute errors in target units."""
        rows = [self.confirmed.seeds[candidate].index(seed) for seed in self.seeds]
        return self.confirmed.errors(candidate, split)[rows]

    def largest_pair(self) -> tuple[Player, Player] | None:
        """The two players with the largest values on validation, of those whose subsets were all trained."""
        if not self.orders or len(self.players) < 2:
            return None
        size = {player: abs(self.value(player, "val").value) for player in self.players}
        pairs = [
            pair
            for pair in itertools.combinations(self.players, 2)
            if set(pair_weights(self.players, *pair)) <= set(self.candidates)
        ]
        return max(pairs, key=lambda pair: size[pair[0]] + size[pair[1]], default=None)


def _measured(game: Game, found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {"effect": None, "low": None, "high": None, "note": _NOT_TRAINED}
    low, high = found.interval()
    notes = []
    if found == Estimate(0.0, {}):
        notes.append("the same candidate with and without it")
    elif len(game.seeds) == 1:
        notes.append("one fresh seed: its luck is unknown, so there is no interval")
    if game.failed:
        notes.append(f"{game.failed} of its candidates failed: mean over the orders that do not need them")
    return {"effect": found.value, "low": low, "high": high, "note": "; ".join(notes) or None}


def _kind(units: Sequence[str]) -> str:
    scripts = ["@" in unit for unit in units]
    return "out_of_space" if all(scripts) else "mixed" if any(scripts) else "in_space"


def _in_words(
    player: Player, before: Mapping[str, Any], after: Mapping[str, Any], functions: Mapping[int, list[str]]
) -> str:
    told = []
    for unit in player:
        if "@" in unit:
            iteration = int(unit.split("@")[1])
            told.append(f"script of trial {iteration}: {', '.join(functions.get(iteration) or ['spelling'])}")
        else:
            told.append(f"{unit}: {before.get(unit, _INACTIVE)} → {after.get(unit, _INACTIVE)}")
    return " + ".join(told)
