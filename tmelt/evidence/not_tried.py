"""Strategies that were not tried: a search of theirs ended because its model's replies could not be used.

Such a search says something about the model and its settings, and nothing about the way of searching. Its strategy is
left out of every table but this one; the strategy's other searches are left out with it, because those that happened to
get usable replies are no fair sample.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tmelt.errors import InputError
from tmelt.evidence.schema import NOT_TRIED
from tmelt.evidence.tables import table
from tmelt.storage.files import read_json
from tmelt.storage.schema import TRIAL, read_table
from tmelt.strategies.stop import UNUSABLE


def not_tried(histories: Sequence[Path]) -> pl.DataFrame:
    """The table `not_tried`: one row per search that ended because of unusable replies.

    Args:
        histories: a file of gathered trials per search, with the markers of its blocks in `blocks/` beside it.
    """
    ended: list[dict[str, Any]] = []
    searches: dict[str, int] = {}
    for path in histories:
        trials = read_table(path, TRIAL)
        strategy = trials["strategy"][0]
        searches[strategy] = searches.get(strategy, 0) + 1
        markers = [read_json(marker) for marker in sorted((path.parent / "blocks").glob("*.json"))]
        stop = next((marker for marker in markers if marker.get("cause") == UNUSABLE), None)
        if stop is not None:
            ended.append(
                {
                    "strategy": strategy,
                    "trajectory": trials["trajectory"][0],
                    "trials": len(trials) - 1,
                    "llm_calls": trials["llm_calls"].sum() + (stop["llm_calls"] or 0),
                    "reason": stop["reason"],
                }
            )
    rows = [row | {"searches": searches[row["strategy"]]} for row in ended]
    return table(rows, NOT_TRIED).sort("strategy", "trajectory")


def tried(trials: pl.DataFrame, left_out: pl.DataFrame) -> pl.DataFrame:
    """The trials of strategies that were tried.

    Args:
        trials: tmelt.storage.schema.TRIAL of all searches.
        left_out: the table `not_tried`.

    Raises:
        InputError: no strategy was tried.
    """
    kept = trials.filter(~pl.col("strategy").is_in(left_out["strategy"].unique().to_list()))
    if len(trials) and not len(kept):
        reasons = "; ".join(f"{row['strategy']}: {row['reason']}" for row in left_out.to_dicts()[:3])
        raise InputError(f"no strategy was tried, so there is nothing to report ({reasons})")
    return kept
