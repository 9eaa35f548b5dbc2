"""Optimism of the search score: the part of a search's gain in validation that does not carry over.

A search accepts its incumbents by validation, so that its gain there holds the luck of the validation proteins and of
the training seeds. The same runs have predicted held-out proteins as well (`select` where a study has it, otherwise
test), which no search sees. With the gain from trial 0 to the last incumbent measured on both,

    optimism = (val_0 − val_last) − (held_0 − held_last),

all on the search's own runs. It is 0 for a search that kept nothing, has expectation 0 for a candidate that was not
accepted by validation, and is positive where the search was optimistic. It is about the last incumbent, not about the
winner: the winner is chosen on the held-out proteins (tmelt.evidence.selection), which would be optimistic on those.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from tmelt.evidence.error_model import Arm, Estimate, estimate
from tmelt.evidence.reading import read_predictions
from tmelt.evidence.selection import last_incumbents

Search = tuple[str, int]


@dataclass(frozen=True)
class Optimism:
    """Optimism of each search.

    Attributes:
        clusters: (proteins,) families of the proteins of validation and of the held-out part.
        runs: search: (seeds, proteins) values; the mean over proteins is the optimism of that seed's runs.
        seeds: search: training seeds.
        labels: search: what its winner is; equal winners are one observation.
    """

    clusters: np.ndarray
    runs: Mapping[Search, np.ndarray]
    seeds: Mapping[Search, list[int]]
    labels: Mapping[Search, str]

    def of(self, *searches: Search) -> Estimate | None:
        """Mean over these searches; None if none of them has one."""
        known = [search for search in searches if search in self.runs]
        if not known:
            return None
        values, labels = [self.runs[search] for search in known], [self.labels[search] for search in known]
        return estimate(Arm.of(values, [self.seeds[search] for search in known], labels), None, self.clusters)


def held_out(labels: pl.DataFrame) -> str:
    """The split that stands for proteins which no search saw."""
    return "select" if (labels["split"] == "select").any() else "test"


def optimism(trials: pl.DataFrame, runs: pl.DataFrame, study: Path, labels: pl.DataFrame) -> Optimism:
    """Optimism of each search that has a baseline and a winner.

    Args:
        trials: tmelt.storage.schema.TRIAL of all searches.
        runs: the table `runs`.
        study: results/{study}, where the runs' predictions are.
        labels: tmelt.evidence.schema.OPENED_LABELS.
    """
    parts = [np.flatnonzero((labels["split"] == split).to_numpy()) for split in ("val", held_out(labels))]
    tm = labels["tm"].to_numpy()
    ok = runs.filter(pl.col("status") == "ok")
    values, seeds, names = {}, {}, {}
    for winner in last_incumbents(trials):
        search = (winner["strategy"], winner["trajectory"])
        own = ok.filter(strategy=search[0], trajectory=search[1])
        first, last = (set(own.filter(iteration=iteration)["seed"]) for iteration in (0, winner["iteration"]))
        if not (common := sorted(first & last)):
            continue
        folder = study / search[0] / f"t{search[1]}"
        before, after = (
            np.abs(read_predictions([folder / f"i{iteration}" / f"s{seed}" for seed in common], labels) - tm)
            for iteration in (0, winner["iteration"])
        )
        values[search], seeds[search] = _difference_of_parts(before - after, *parts), common
        names[search] = f"{winner['script']}/{winner['knobs']}"
    return Optimism(labels["cluster"].to_numpy()[np.concatenate(parts)], values, seeds, names)


def _difference_of_parts(gains: np.ndarray, val: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Mean gain on `val` minus mean gain on `held` as one value per protein of both.

    Args:
        gains: (seeds, proteins).
        val, held: positions.

    Returns:
        (seeds, val and held proteins): each row's mean is the difference, and its deviations from that mean are each
        part's own deviations, scaled so that the variance of the mean is the sum of the two parts' variances.
    """
    one, other = gains[:, val], gains[:, held]
    means = one.mean(axis=1, keepdims=True), other.mean(axis=1, keepdims=True)
    total = len(val) + len(held)
    return (means[0] - means[1]) + np.hstack(
        [total / len(val) * (one - means[0]), -total / len(held) * (other - means[1])]
    )
