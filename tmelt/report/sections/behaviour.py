"""How the strategies searched: steps, failures, expectations, integrity."""

from collections.abc import Iterator

import polars as pl

from tmelt.report.blocks import Block, Table
from tmelt.report.figures.behaviour import (
    figure_categories,
    figure_complexity,
    figure_expectations,
    figure_failures,
    figure_pareto,
    figure_steps,
)
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.section import Section
from tmelt.report.words import DASH, number, percent
from tmelt.search.integrity import LABELS


def content(study: ReportStudy) -> Iterator[Block | None]:
    """What the proposals touched and how they ended."""
    yield figure_steps(study)
    yield figure_categories(study)
    yield figure_complexity(study)
    yield figure_failures(study)
    yield figure_expectations(study)
    yield figure_pareto(study)
    yield behaviour_table(study).labelled(
        "How the strategies proposed",
        heading="In numbers",
        below="Trials after the baseline. Step: distance to the parent in knob space, each knob scaled to 0–1. "
        "Repeats: the same script and knobs as an earlier trial of the search. Expectations come true: same sign as "
        "expected and larger than the seed noise, of those that can be judged.",
    )
    yield integrity_table(study).labelled(
        "Integrity labels of trials",
        heading="Integrity",
        below="Trials after the baseline by label. Table like: a large literal, a string like an amino-acid sequence, "
        "or a hash function in the script. Not row wise: predictions depended on other proteins or on chance. Many "
        "scores that decode the validation labels have no label: that is a property of a search, and its optimism "
        "shows it.",
    )


SECTION = Section("behaviour", "Search behaviour", content, "no trial followed the baseline.")


def behaviour_table(study: ReportStudy) -> Table:
    """How each strategy proposes: step sizes, changes per trial, repeats, failures, foresight."""
    rows = []
    for name in study.strategies:
        own = study["behaviour"].filter((pl.col("strategy") == name) & (pl.col("iteration") > 0))
        judged = own.drop_nulls("came_true")
        if not len(own):
            continue
        edited = own.filter(pl.col("script_change").fill_null(0) > 0)
        scored = own.filter(pl.col("status") == "ok")
        changed = own["changed_knobs"].median()
        rows.append(
            [
                name,
                str(len(own)),
                DASH if changed is None else f"{changed:g}",
                number(own["step"].median()),
                f"{100 * len(edited) / len(own):.0f} %",
                str(own["duplicate_of"].drop_nulls().len()),
                f"{100 * (1 - len(scored) / len(own)):.0f} %",
                f"{100 * (own['decision'] == 'keep').sum() / len(own):.0f} %",
                f"{int(judged['came_true'].sum())} of {len(judged)}" if len(judged) else DASH,
            ]
        )
    columns = [
        "", "trials", "knobs changed (median)", "step (median)", "script edited", "repeats", "failed", "kept",
        "expectations come true",
    ]  # fmt: skip
    return Table(columns, rows)


def integrity_table(study: ReportStudy) -> Table:
    """Trials with each integrity label, and those that became an incumbent, by strategy."""
    rows = []
    for name in study.strategies:
        own = {row["label"]: row for row in study["integrity"].filter(pl.col("strategy") == name).to_dicts()}
        if own:
            cells = [f"{own[label]['trials']} ({percent(own[label]['rate'])})" for label in LABELS]
            kept = sum(own[label]["incumbents"] for label in LABELS if label != "clean")
            rows.append([name, str(own["clean"]["of"]), *cells, str(kept)])
    rows += [[f"{name} (not tried)", *[DASH] * (len(LABELS) + 2)] for name in study.not_tried]
    return Table(["", "trials", *(label.replace("_", " ") for label in LABELS), "not clean, yet an incumbent"], rows)
