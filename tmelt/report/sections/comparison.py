"""Differences between strategies, what they rest on, and what it would take to find them."""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from tmelt.evidence.comparison import BASELINE, REFERENCE
from tmelt.evidence.power import MOST
from tmelt.evidence.spread import LEAST as TESTED
from tmelt.evidence.verdict import FEW
from tmelt.report.blocks import Block, Row, Table, Text, decimal, ends, own_note, table_of
from tmelt.report.figures.comparison import figure_comparison
from tmelt.report.finding import power
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.section import Section
from tmelt.report.words import DASH, difference, interval, listing, number, p_text, value


def content(study: ReportStudy) -> Iterator[Block | None]:
    """Differences with intervals, spread and power."""
    yield figure_comparison(study)
    yield Text(spread_text(study), lead="Spread between searches.")
    yield Text(power(study), lead="Power.")
    yield (
        comparison_table(study)
        .labelled(
            "Pairs of strategies",
            above="Negative: the first has the lower error. P(first better): share of pairs of searches, with "
            "Wilson's 95 % interval for the smaller number of distinct searches. Adjusted p: the larger of the "
            f"error model's and an exact permutation test's over distinct searches (at least {FEW} each), adjusted "
            "for every contrast tested on this page (Holm). Area under the curve: of the validation incumbent "
            "over trials.",
        )
        .folded("Every pair in numbers")
    )
    yield (
        power_table(study)
        .labelled(
            "Power",
            above="Simulated power of the page's own decision rule in a study with one look at test, at the spread "
            "between searches observed here. In brackets: the spread's 95 % interval, and the searches needed at "
            "its upper end.",
        )
        .folded("Searches needed to establish a difference")
    )


SECTION = Section("comparison", "Strategies compared", content, "no pair of strategies has confirmed winners.")


def power_table(study: ReportStudy) -> Table:
    """How many searches each difference would need."""

    def spread(row: Row) -> str:
        return number(row["sd"]) + (f" ({interval(row['sd_low'], row['sd_high'])})" if row["sd"] is not None else "")

    def needed(row: Row) -> str:
        return _needed(row, "needed_80") + (f" (to {_needed(row, 'needed_80_high')})" if row["sd"] else "")

    return table_of(
        study["power"].to_dicts(),
        ("", _pair),
        (study.head("difference"), decimal("difference", signed=True)),
        (study.head("SD between searches"), spread),
        ("searches now", "trajectories"),
        ("least adjusted p now", lambda row: p_text(row["attainable"])),
        ("needed, power 80 %", needed),
        ("needed, power 90 %", lambda row: _needed(row, "needed_90")),
        (study.head("detectable now"), decimal("detectable")),
        note=lambda row: own_note(row) if row["sd"] is None else "",
    )


def _needed(row: Row, field: str) -> str:
    return f"> {MOST}" if row[field] is None and row["sd"] is not None else value(row[field])


def _pair(row: Row) -> str:
    return f"{row['a']} − {row['b']}"


def comparison_table(study: ReportStudy) -> Table:
    """Every pair of strategies: difference, probability of improvement, test, and the areas under the curves."""
    areas = {_pair(row): row for row in study["comparison"].filter(metric="auc").to_dicts()}
    nothing = {"difference": None, "low": None, "high": None}
    pairs = study["comparison"].filter((pl.col("metric") == "test_mae") & ~pl.col("b").is_in([BASELINE, REFERENCE]))

    def probability(row: Row) -> str:
        if row["probability"] is None:
            return DASH
        share, low, high = (f"{100 * row[name]:.0f}" for name in ("probability", "probability_low", "probability_high"))
        return f"{share} % ({low} to {high})"

    def area(cell: Callable[[Row], str]) -> Callable[[Row], str]:
        return lambda row: cell(areas.get(_pair(row), nothing)) if _pair(row) in areas else ""

    return table_of(
        pairs.to_dicts(),
        ("", _pair),
        ("searches", lambda row: f"{_searches(row, 'a')}, {_searches(row, 'b')}"),
        (study.head("test MAE"), difference),
        ("95 % interval", ends(signed=True)),
        ("P(first better)", probability),
        ("adjusted p", lambda row: p_text(row["p_adjusted"])),
        ("verdict", lambda row: row["verdict"] or "not tested"),
        (study.head("area under the curve"), area(decimal("difference", signed=True))),
        ("95 % interval", area(ends(signed=True))),
        words=["verdict"],
        note=own_note,
    )


def _searches(row: dict[str, Any], side: str) -> str:
    """The searches of one side, and how many of them are distinct where some are copies."""
    number_of, distinct = row[f"n_{side}"], row[f"distinct_{side}"]
    return str(number_of) if distinct == number_of else f"{number_of} ({distinct} distinct)"


def spread_text(study: ReportStudy) -> str:
    """Whether the strategies differ in how far their searches end apart, in a sentence; empty with one search each."""
    rows = study["spread"]
    if not len(rows) or int(rows["searches"].max()) < 2:
        return ""
    known = rows.drop_nulls("test_sd").sort(study.place())
    said = listing([f"{row['strategy']} {number(row['test_sd'])}" for row in known.to_dicts()])
    about = study.head("Standard deviation of the confirmed test MAE between distinct searches")
    text = f"{about}: {said}. " if said else ""
    tested = rows.drop_nulls("p_value")
    if not len(tested):
        return text + (
            "Whether the strategies differ in it is not tested: that takes two strategies with at least "
            f"{TESTED} distinct searches."
        )
    p = float(tested["p_value"][0])
    verdict = "differ" if p < 0.05 else "are not shown to differ"
    return text + (
        f"The spreads of {listing(tested.sort(study.place())['strategy'].to_list())} {verdict} (Brown and Forsythe's "
        f"test of equal variance, p = {p:.2g})."
    )
