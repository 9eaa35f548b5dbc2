"""Overtuning: a search goes on by validation although its candidates no longer get better on other proteins."""

from typing import Any

import polars as pl

from tmelt.evidence.schema import CHOICES
from tmelt.evidence.tables import table
from tmelt.evidence.winners import Confirmed, candidate_of


def choices(considered: pl.DataFrame, plan: pl.DataFrame, confirmed: Confirmed) -> pl.DataFrame:
    """The table `choices`: the last incumbents with their test errors on fresh seeds, and against the winner's.

    Neither test nor the fresh seeds had a part in the choice of the winner (tmelt.evidence.selection), so a difference
    has expectation 0 where the incumbents are equally good. A positive one of the last incumbent says that the search
    had gone too far and that select took it back.

    Args:
        considered: the table `last_incumbents`.
        plan: tmelt.evidence.schema.PLAN.
    """
    trained = plan.filter(pl.col("purpose").is_in(["incumbent", "winner"]))
    names = dict(
        zip(trained.select("strategy", "trajectory", "iteration").iter_rows(), trained["candidate"], strict=True)
    )
    rows: list[dict[str, Any]] = []
    for row in considered.iter_rows(named=True):
        key = row["strategy"], row["trajectory"]
        candidate, winner = names.get((*key, row["iteration"])), candidate_of(plan, "winner", *key)
        empty = ("candidate", "test_mae", "test_low", "test_high", "difference", "low", "high")
        found: dict[str, Any] = dict.fromkeys(empty) | {"candidate": candidate}
        if candidate in confirmed:
            level = confirmed.level(candidate, "test")
            found["test_mae"] = level.value
            found["test_low"], found["test_high"] = level.interval()
        if candidate in confirmed and winner in confirmed and not row["chosen"]:
            difference = confirmed.difference(candidate, winner, "test")
            found["difference"] = difference.value
            found["low"], found["high"] = difference.interval()
        rows.append(row | found)
    return table(rows, CHOICES)
