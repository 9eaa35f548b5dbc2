"""The winner of a search: of its last incumbents the one with the lowest error on select.

A search accepts its incumbents by validation proteins that it measures in every trial, so that the last of them may
owe its place to those proteins. `select` holds proteins of other families, and no search sees an error on it. The
choice uses the search's own runs, which have predicted select as well; it looks at no test label.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.evidence.reading import read_predictions
from tmelt.evidence.schema import LAST_INCUMBENTS
from tmelt.evidence.tables import table
from tmelt.search.decision import complexity

_DIGITS = 9  # target units; errors on select that differ by less are equal
_SEARCH = ["strategy", "trajectory"]


def incumbent_path(search: pl.DataFrame) -> list[int]:
    """The incumbents of one search in order, from the baseline (or the first trial that ran) to the last."""
    return search.sort("iteration")["incumbent"].drop_nulls().unique(maintain_order=True).to_list()


def path_to_winner(search: pl.DataFrame, plan: pl.DataFrame) -> list[int]:
    """The incumbents of one search up to its winner; all of them where the plan names no winner.

    Args:
        search: the trials of one search.
        plan: tmelt.evidence.schema.PLAN.
    """
    path = incumbent_path(search)
    key = search.select(*_SEARCH).head(1)
    found = plan.filter(pl.col("purpose") == "winner").join(key, on=_SEARCH, how="semi")["iteration"]
    return path[: path.index(found[0]) + 1] if len(found) and path else path


def last_incumbents(trials: pl.DataFrame, count: int = 1) -> list[dict[str, Any]]:
    """The rows of each search's last `count` incumbents, the last first; a search in which nothing ran well has none.

    Args:
        trials: tmelt.storage.schema.TRIAL of all searches.
    """
    rows = []
    for _, search in trials.sort(_SEARCH).group_by(_SEARCH, maintain_order=True):
        known = {row["iteration"]: row for row in search.iter_rows(named=True)}
        rows += [known[iteration] for iteration in reversed(incumbent_path(search)[-count:])]
    return rows


def choose(trials: pl.DataFrame, study: Path, labels: pl.DataFrame, count: int) -> pl.DataFrame:
    """The table `last_incumbents`: what each search's winner is chosen from, and which it is.

    The lowest mean absolute error on select, mean over the search's training seeds, wins; of equals the simpler one
    (tmelt.search.decision.complexity), then the later one.

    Args:
        trials: tmelt.storage.schema.TRIAL of all searches.
        study: results/{study}, where the runs' predictions are.
        labels: tmelt.storage.schema.LABELS of select.
        count: how many of the last incumbents are considered.

    Raises:
        InputError: a run whose predictions of select are missing or damaged.
    """
    proteins = labels.select("protein_id", split=pl.lit("select"))
    measured = labels["tm"].to_numpy()
    rows: list[dict[str, Any]] = []
    for _, considered in _by_search(last_incumbents(trials, count)):
        errors = {}
        for row in considered:
            folder = study / row["strategy"] / f"t{row['trajectory']}" / f"i{row['iteration']}"
            predicted = read_predictions([folder / f"s{seed}" for seed in row["seeds"]], proteins, ["select"])
            errors[row["iteration"]] = float(np.abs(predicted - measured).mean())
        best = min(considered, key=lambda row: (round(errors[row["iteration"]], _DIGITS), complexity(row)))
        rows += [
            {
                "strategy": row["strategy"],
                "trajectory": row["trajectory"],
                "iteration": row["iteration"],
                "place": place,
                "search_val_mae": row["val_mae"],
                "select_mae": errors[row["iteration"]],
                "chosen": row is best,
            }
            for place, row in enumerate(considered, start=1)
        ]
    return table(rows, LAST_INCUMBENTS)


def winners_of(trials: pl.DataFrame, chosen: pl.DataFrame) -> list[dict[str, Any]]:
    """The winner of each search as its trial's row with `select_mae`; a search in which nothing ran well has none.

    Args:
        trials: tmelt.storage.schema.TRIAL of all searches.
        chosen: the table `last_incumbents` or `choices`.
    """
    picked = chosen.filter("chosen").select(*_SEARCH, "iteration", "select_mae")
    return trials.join(picked, on=[*_SEARCH, "iteration"]).sort(_SEARCH).to_dicts()


def best_searches(trials: pl.DataFrame, chosen: pl.DataFrame) -> set[tuple[str, int]]:
    """Of each strategy the search whose winner has the lowest error on select; the first of equals."""
    best: dict[str, tuple[float, int]] = {}
    for row in winners_of(trials, chosen):
        best[row["strategy"]] = min(best.get(row["strategy"], (np.inf, 0)), (row["select_mae"], row["trajectory"]))
    return {(strategy, trajectory) for strategy, (_, trajectory) in best.items()}


def _by_search(rows: list[dict[str, Any]]) -> list[tuple[tuple[str, int], list[dict[str, Any]]]]:
    """Rows by search, in their order."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["strategy"], row["trajectory"]), []).append(row)
    return list(groups.items())
