"""Errors on external test sets beside those on test."""

from collections.abc import Iterator, Mapping
from typing import Any

import altair as alt
import polars as pl

from tmelt.report.figures.theme import INK, PALETTE, SHAPES, Figure, described, in_rows, names_axis
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import counts, interval

TEST = "test"
_SCHEMA = {"where": pl.String, "label": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}


def figure_external(study: ReportStudy) -> Figure | None:
    """MAE of baseline, strategies and simple predictors on test and on every external set."""
    rows = study["external"].filter(
        (pl.col("metric") == "mae") & (pl.col("part") == "all") & (pl.col("role") != "winner")
    )
    rows = rows.drop_nulls("value")
    if not len(rows):
        return None
    sets = rows["set"].unique(maintain_order=True).to_list()
    found = [(row["set"], model_label(study, row), row["value"], row["low"], row["high"]) for row in rows.to_dicts()]
    shown = pl.DataFrame([*_on_test(study), *found], schema=_SCHEMA, orient="row")
    order = [
        label
        for label in ["baseline (trial 0)", *study.strategies, *floor_labels(study).values()]
        if label in shown["label"].to_list()
    ]
    shown = shown.filter(pl.col("label").is_in(order))
    shown = described(
        shown,
        lambda row: (
            f"{row['label']} on {row['where']}: {study.amount(row['value'])}"
            + (f" ({interval(row['low'], row['high'])})" if row["low"] is not None else "")
        ),
    )
    names = [TEST, *sets]
    legend = alt.Legend(title=None, orient="top", symbolSize=70, symbolOpacity=1, labelLimit=160)
    colours = [INK, *(PALETTE[place % len(PALETTE)] for place in range(len(sets)))]
    colour = alt.Color("where:N", scale=alt.Scale(domain=names, range=colours), legend=legend)
    shape = alt.Shape(
        "where:N",
        scale=alt.Scale(domain=names, range=[SHAPES[place % len(SHAPES)] for place in range(len(names))]),
        legend=legend,
    )
    y, offset = names_axis("label", order), alt.YOffset("where:N", sort=names)
    top = 1.6 * float(shown["value"].max())
    x = alt.X("value:Q", title=study.axis("MAE"), scale=alt.Scale(domain=[0, top]), axis=alt.Axis(grid=False))
    base = alt.Chart(shown)
    bars = base.mark_rule(strokeWidth=1.8, aria=False, clip=True).encode(
        x=alt.X("low:Q"), x2="high:Q", y=y, yOffset=offset, color=colour
    )
    dots = base.mark_point(size=52, filled=True, opacity=1).encode(
        x=x, y=y, yOffset=offset, color=colour, shape=shape, description="words:N"
    )
    chart = in_rows(alt.layer(bars, dots), order, step=14 * len(names))
    caption = (
        "MAE on fresh seeds; of a strategy the mean of its searches' winners. Bars: 95 % interval over protein "
        "families, training seeds and, for a strategy, searches, cut at the axis. Test and the sets hold other "
        "proteins: a difference between them is not paired. n = "
        f"{counts(study['external_sets']['proteins'], 'protein')} of {', '.join(sets)}."
    )
    return Figure("external", "Errors on external sets", caption, chart, {"external": study["external"]})


def model_label(study: ReportStudy, row: Mapping[str, Any]) -> str:
    """Name of a model of the table `external` or `endpoints`."""
    if row["role"] == "baseline":
        return "baseline (trial 0)"
    if row["role"] == "floor":
        return floor_labels(study).get(row["strategy"], row["strategy"])
    return str(row["strategy"]) if row["role"] == "strategy" else f"{row['strategy']}, search {row['trajectory']}"


def floor_labels(study: ReportStudy) -> dict[str, str]:
    """Label of each simple predictor by its name."""
    return dict(study["floors"].select("name", "label").iter_rows())


def _on_test(study: ReportStudy) -> Iterator[tuple[Any, ...]]:
    """The same errors on test."""
    if study.baseline["test_mae"] is not None:
        row = study.baseline
        yield TEST, "baseline (trial 0)", row["test_mae"], row["low"], row["high"]
    for row in study.confirmed.to_dicts():
        yield TEST, row["strategy"], row["test_mae"], row["test_low"], row["test_high"]
    known = {row["strategy"] for row in study["external"].to_dicts() if row["role"] == "floor"}
    for row in study["floors"].to_dicts():
        if row["name"] in known:
            yield TEST, row["label"], row["test_mae"], row["low"], row["high"]
