"""Distinct searches: copies of a search are one observation, however many of them were run.

Scripted agents, models at temperature 0, a provider's cache or a replay repeat a search exactly; and searches that
never left the baseline end at the same candidate. Their number says nothing about how another search would end.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from tmelt.evidence.difference import script_identity
from tmelt.files import sha256_json

SEARCH_KEY = ("strategy", "trajectory")


def chains(trials: pl.DataFrame) -> dict[tuple[str, int], str]:
    """Of each search a hash of what it tried, trial by trial: (script, knobs, status).

    Args:
        trials: tmelt.schema.TRIAL.
    """
    found = {}
    for (strategy, trajectory), part in trials.group_by(*SEARCH_KEY, maintain_order=True):
        tried = part.sort("iteration").select("script", "knobs", "status").rows()
        found[strategy, trajectory] = sha256_json([list(row) for row in tried])
    return found


def candidate_label(script: str, knobs: Mapping[str, Any]) -> str:
    """A label that equal candidates share: the same code, but for comments and layout, and the same knob values."""
    values = {key: float(value) if type(value) is int else value for key, value in sorted(knobs.items())}
    return sha256_json([script_identity(script), values])[:16]


def count_distinct(labels: pl.Series) -> int:
    """Number of distinct searches among the labels of one strategy; nulls are searches without a winner."""
    return labels.drop_nulls().n_unique()
