"""Tables of scores in columns, for test and for external sets."""

from collections.abc import Sequence

import polars as pl

from tmelt.report.blocks import Row, Table
from tmelt.report.figures.external import model_label
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import DASH, interval, number, tidied

_PLACES = {"baseline": 0, "strategy": 1, "winner": 1, "floor": 2}


ERRORS = ("mae", "mae_difference", "rmse", "bias", "r2")
MODELS = ("baseline", "strategy", "floor")  # roles of what a page compares first


def scores_table(study: ReportStudy, rows: pl.DataFrame, roles: Sequence[str], errors: bool = False) -> Table:
    """One line per model, one column per score: the value and its 95 % interval.

    Args:
        rows: of the table `endpoints` or `external`, for the same proteins.
        roles: whose lines are wanted.
        errors: the columns of errors; otherwise those of ranks and picks.
    """
    rows = rows.filter(pl.col("role").is_in(list(roles)) & (pl.col("metric").is_in(list(ERRORS)) == errors))
    rows = rows.with_columns(first=pl.col("role").replace_strict(_PLACES, return_dtype=pl.Int64))
    rows = rows.sort("first", study.place(), "trajectory", maintain_order=True)
    heads = score_heads(study)
    names = [name for name in heads if name in rows["metric"].to_list()]
    lines, notes = [], set()
    for _, part in rows.group_by("role", "strategy", "trajectory", maintain_order=True):
        own = {row["metric"]: row for row in part.to_dicts()}
        notes |= {row["note"] for row in own.values() if row["note"] and row["role"] != "floor"}
        lines.append([model_label(study, next(iter(own.values()))), *(_cell(own.get(name)) for name in names)])
    return Table(["", *(heads[name] for name in names)], lines, note=tidied("; ".join(sorted(notes))))


def score_heads(study: ReportStudy) -> dict[str, str]:
    """Head of the column of each score, in the order in which they are shown."""
    head, groups = study.head, study.group.plural
    return {
        "mae": head("MAE"),
        "mae_difference": head("MAE − baseline's"),
        "rmse": head("RMSE"),
        "bias": head("bias"),
        "r2": "R²",
        "spearman": "ρ",
        "within_rho": f"ρ within {groups}",
        "parent_rho": "ρ among variants",
        "auroc": "AUROC",
        "average_precision": "average precision",
        "enrichment": "enrichment",
    }


def _cell(row: Row | None) -> str:
    if row is None or row["value"] is None:
        return DASH
    signed = row["metric"] in ("bias", "mae_difference")
    ends = f" ({interval(row['low'], row['high'], signed=signed)})" if row["low"] is not None else ""
    return f"{number(row['value'], signed=signed)}{ends}"


def endpoint_words(study: ReportStudy, rows: pl.DataFrame) -> str:
    """What counts as a hit among the proteins of these rows of `endpoints` or `external`, in sentences."""
    if not len(rows):
        return ""
    positives, proteins, threshold, top = rows.select("positives", "proteins", "threshold", "top").row(0)
    share = f"{100 * top:g} %"
    if threshold is None:
        return (
            f"Enrichment: how many times more of the {share} measured highest are among the {share} predicted "
            "highest than by chance."
        )
    bound = study.target.amount(f"{threshold:g}")
    return (
        f"Positive: {bound} or more, {positives:,} of {proteins:,} proteins; by chance a ranking has AUROC 0.50 and "
        f"average precision {number(positives / proteins)}. Enrichment: how many times more positives are among the "
        f"{share} predicted highest than by chance."
    )
