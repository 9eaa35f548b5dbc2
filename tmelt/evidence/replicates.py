"""Distinct searches: copies of a search are one observation, however many of them were run.

Scripted agents, models at temperature 0, a provider's cache or a replay repeat a search exactly; and searches that
never left the baseline end at the same candidate. Their number says nothing about how another search would end.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from tmelt.storage.files import sha256_json


def chains(trials: pl.DataFrame) -> dict[tuple[str, int], str]:
    """Of each search a hash of what it tried, trial by trial: (script, knobs, fidelity, status).

    Args:
        trials: tmelt.storage.schema.TRIAL.
    """
    found = {}
    for (strategy, trajectory), part in trials.group_by("strategy", "trajectory", maintain_order=True):
        tried = part.sort("iteration").select("script", "knobs", "fidelity", "status").rows()
        found[strategy, trajectory] = sha256_json([list(row) for row in tried])
    return found


def outcome_label(predictions: np.ndarray, seeds: Sequence[int]) -> str:
    """A label that winners share which predict exactly the same: renamed or recommented scripts are no replicates.

    Args:
        predictions: (seeds, proteins) in target units.
    """
    content = np.ascontiguousarray(predictions, dtype="<f8").tobytes() + repr(list(seeds)).encode()
    return hashlib.sha256(content).hexdigest()[:16]
