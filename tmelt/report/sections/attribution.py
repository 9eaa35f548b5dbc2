"""Where the gain came from: knobs or script, and which changes."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from tmelt.report.blocks import Block, Fold, Table, Text, decimal, ends, of_search, own_note, table_of
from tmelt.report.code import shown_diff
from tmelt.report.figures.attribution import (
    figure_attribution,
    figure_changes,
    figure_importance,
    figure_improvements,
    figure_interactions,
    figure_kinds,
)
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.section import Section
from tmelt.report.words import anchor, number, pair_text, percent, shortened, tidied


def content(study: ReportStudy) -> Iterator[Block | None]:
    """Attribution of the gains, kinds of change, ranked improvements, interactions and knobs."""
    yield figure_attribution(study)
    yield figure_kinds(study)
    yield figure_changes(study)
    yield figure_improvements(study)
    yield figure_interactions(study)
    yield figure_importance(study)
    yield (
        attribution_table(study)
        .labelled(
            "Attribution",
            above="Gain by the search: in validation, by the search's own scores, which chose the winner and are "
            "therefore optimistic; confirmed: on fresh seeds. Split by: the scores behind “by knobs”, “by other "
            "constants” and “by structure”. Fresh seeds: every kept change was retrained, or the winner's knobs in "
            "the baseline's script were, or all kept changes are of one kind; search: its own scores. By knobs: "
            "share of the gain that changes of knobs explain, values that a script puts in place of a knob "
            "included; the rest by constants of the script that are no knob (undiscovered hyperparameters) and by "
            "its structure; – where these two were not trained apart. Knobs alone: the baseline's script with the "
            "winner's knobs, trained on the same fresh seeds as the winner and the baseline; – where the winner "
            "kept the baseline's script or nothing was gained.",
        )
        .folded("Attribution by search")
    )
    yield (
        improvements_table(study)
        .labelled(
            "Candidate improvements",
            below="Training it adds: seconds of training per run with the change minus without. Winners with it: "
            "searches whose winner has the same change.",
        )
        .folded("Highest-ranked improvements as a table")
    )
    yield from improvement_diffs(study)
    yield (
        interactions_table(study)
        .labelled(
            "Shapley values and interactions",
            below="Shapley value: mean over the orders of adding the changes of what a change adds to those before "
            "it; the values of a search add up to its winner's gain over the baseline. × marks a pair: with both, "
            "minus what each of them alone adds, all others being kept; below 0 they gain more together, above 0 "
            "they do the same in part. + joins changes that could not be told apart: they touch the same lines, "
            "one uses the other's names, or the budget (evidence.interaction_runs) was too small.",
        )
        .folded("Shapley values and interactions in numbers")
    )


SECTION = Section("attribution", "Where the gains come from", content, "no change was kept.")


_TOP = 12


_DIFF_ROWS = 400


def attribution_table(study: ReportStudy) -> Table:
    """Each search's gain, its in-space share, and what re-running the winner's knobs in the baseline's script gave."""
    return table_of(
        study["attribution"].sort(study.place(), "trajectory").to_dicts(),
        ("", of_search),
        ("kept changes", "kept"),
        (study.head("gain by the search"), decimal("search_gain", signed=True)),
        ("by knobs", lambda row: percent(row["in_space_share"])),
        (study.head("by other constants"), decimal("hyperparameters", signed=True)),
        (study.head("by structure"), decimal("structure", signed=True)),
        (study.head("gain confirmed"), decimal("confirmed_gain", signed=True)),
        (study.head("knobs alone, re-run"), decimal("projected_gain", signed=True)),
        ("split by", "source"),
        ("script first changed", lambda row: "never" if row["switch"] is None else f"trial {row['switch']}"),
        words=["split by", "script first changed"],
        note=own_note,
    )


def interactions_table(study: ReportStudy) -> Table:
    """Shapley value of each change of the winners, and the interaction of the two largest."""
    return table_of(
        study["interactions"].sort(study.place(), "trajectory", "term", "effect").to_dicts(),
        ("", of_search),
        ("change", lambda row: pair_text(row["change"], 60) if row["term"] == "pair" else tidied(row["change"])),
        (study.head("effect on test MAE"), decimal("effect", signed=True)),
        ("95 % interval", ends(signed=True)),
        ("orders", orders_text),
        ("seeds", "seeds"),
        words=["change", "orders"],
        note=own_note,
    )


def orders_text(row: Mapping[str, Any]) -> str:
    """How many orders a row of `interactions` is a mean of."""
    if row["orders"] is None:
        return "given all others"
    return f"{'all ' if row['complete'] else ''}{row['orders']:,}{'' if row['complete'] else ' sampled'}"


def improvements_table(study: ReportStudy) -> Table:
    """The first changes by the cautious end of their interval."""
    return table_of(
        study["improvements"].sort("rank").head(_TOP).to_dicts(),
        ("", lambda row: shortened(tidied(row["change"]), 60)),
        ("found by", lambda row: f"{of_search(row)}, trial {row['iteration']}"),
        (study.head("effect on test MAE"), decimal("effect", signed=True)),
        ("95 % interval", ends(signed=True)),
        ("evidence", "evidence"),
        ("seeds", lambda row: str(row["seeds"] or 0)),
        ("winners with it", "found_in"),
        ("training it adds per run", lambda row: f"{number(row['cost_fit_s'], 1, signed=True)} s"),
        words=["found by", "evidence"],
    )


def improvement_diffs(study: ReportStudy) -> list[Fold]:
    """The changes of scripts among the first improvements, with their lines."""
    rows = study["improvements"].sort("rank").filter(pl.col("part") == "script").head(_TOP)
    found = []
    for row in rows.to_dicts():
        diff = shown_diff(row["diff"], _DIFF_ROWS)
        where = f"{row['strategy']}, search {row['trajectory']}, trial {row['iteration']}"
        effect = (
            f"{study.amount(row['effect'], signed=True)}, {row['evidence']}" if row["effect"] is not None else "not run"
        )
        note = f"{where}; {effect}; {diff.added} lines added, {diff.removed} removed"
        href = f"#{anchor(row['strategy'], row['trajectory'], row['iteration'])}"
        link = Text("The trial that introduced the change", href=href)
        found.append(Fold(f"{row['rank']}. {tidied(row['change'])}", [diff, link], note))
    return found
