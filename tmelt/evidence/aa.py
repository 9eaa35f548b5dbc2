"""The A/A test: one candidate compared with itself on other seeds must show no difference."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tmelt.evidence.error_model import Arm, estimate
from tmelt.evidence.schema import PLAN
from tmelt.evidence.winners import Confirmed, candidate_of
from tmelt.storage.schema import read_table

PAIRS = 300
RUNS = 14


def aa_study(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of an A/A study: the baseline of `config`, retrained on 14 fresh seeds, and next to nothing else."""
    extent = {"iterations": 1, "trajectories": 1, "seeds": [0], "confirm_seeds": RUNS}
    return {
        "study": "aa",
        "title": "A baseline against itself",
        "design": config["design"],
        "extent": extent | {"strategies": {"random": {"kind": "random"}}},
        "evidence": {"purposes": ["baseline"]},
        "runtime": {"seeds_per_job": "all"},
    }


def baseline_runs(study: Path) -> tuple[np.ndarray, np.ndarray]:
    """(seeds, proteins) absolute test errors of a study's baseline on its fresh seeds; (proteins,) families.

    Args:
        study: results/{study}, with a confirmed baseline.
    """
    (plan,) = study.glob("confirm/plan_*.parquet")
    confirmed = Confirmed.read(study / "evidence/confirmed_predictions.parquet", study / "evidence/labels.parquet")
    candidate = candidate_of(read_table(plan, PLAN), "baseline", None, None)
    return confirmed.errors(candidate, "test"), confirmed.clusters("test")


def excluding_zero(errors: np.ndarray, clusters: np.ndarray, seeds: int, pairs: int = PAIRS) -> float:
    """Share of the intervals between two disjoint sets of so many seeds that exclude 0; nominally 0.05.

    Args:
        errors: (runs, proteins) of one candidate.
        clusters: (proteins,) families.
        seeds: in each set.
    """
    rng, outside = np.random.default_rng(seeds), 0
    for _ in range(pairs):
        drawn = rng.permutation(len(errors))[: 2 * seeds]
        sides = [Arm.single(errors[part], part.tolist()) for part in (drawn[:seeds], drawn[seeds:])]
        low, high = estimate(*sides, clusters).interval()
        outside += not low <= 0 <= high
    return outside / pairs
