"""Generalisation of the winners, and calibration of their intervals."""

from collections.abc import Iterator

import polars as pl

from tmelt.report.blocks import Block, Row, Table, decimal, ends, own_note, table_of
from tmelt.report.figures.generalisation import figure_calibration, figure_coverage, figure_left_out, figure_levels
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.section import Section
from tmelt.report.words import p_text


def content(study: ReportStudy) -> Iterator[Block | None]:
    """Other budgets and data, organisms left out of training, and interval calibration."""
    yield figure_levels(study)
    yield figure_left_out(study)
    yield figure_calibration(study)
    yield figure_coverage(study)
    yield (
        horizons_table(study)
        .labelled(
            "Differences by training budget and data",
            below="Negative: better than the same winner at the search's own budget and data. Paired over "
            "searches, training seeds and proteins; p is not adjusted for the number of rows.",
        )
        .folded("Differences to the search's own budget and data")
    )


SECTION = Section(
    "generalisation",
    "Generalisation and calibration",
    content,
    "the winners were not retrained with other budgets or data.",
)


def horizons_table(study: ReportStudy) -> Table:
    """Differences in test MAE of the retrained winners to the same winners at the search's own budget and data."""

    def level(row: Row) -> str:
        changed = f"{row['level']:g}× the budget" if row["kind"] == "budget" else f"{100 * row['level']:.0f} % of fit"
        return f"{row['strategy']}, {changed}"

    return table_of(
        study["horizons"].filter(pl.col("level") != 1).sort("kind", study.place(), "level").to_dicts(),
        ("", level),
        ("winners", "winners"),
        (study.head("test MAE"), decimal("test_mae")),
        (study.head("difference"), decimal("difference", signed=True)),
        ("95 % interval", ends("difference_low", "difference_high", signed=True)),
        ("p", lambda row: p_text(row["p_value"])),
        ("interval covers", "covers"),
        words=["interval covers"],
        note=own_note,
    )
