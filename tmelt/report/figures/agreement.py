"""Validation against test along the searches: rank agreement of the trials, and the gap from fit to test."""

import altair as alt
import polars as pl

from tmelt.report.figures.theme import (
    FAINT,
    PALETTE,
    Figure,
    columns_for,
    described,
    faceted,
    own_colour,
    panel_width,
    span_of,
    trial_axis,
)
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, interval, number, trial_name

_PARTS = {"fit_mae": "fit (decoys)", "stop_mae": "early stopping", "val_mae": "validation", "test_mae": "test"}
_COLOURS = (FAINT, PALETTE[2], PALETTE[0], PALETTE[1])
_DASHES = ([1, 2], [6, 2], [1, 0], [1, 0])


def figure_agreement(study: ReportStudy) -> Figure | None:
    """Test against validation MAE of every trial, with Spearman's correlation by strategy."""
    points = trial_errors(study)
    if not len(points):
        return None
    found = {row["strategy"]: row for row in study["agreement"].filter(pl.col("trajectory").is_null()).to_dicts()}
    heads = {name: _head(name, found.get(name)) for name in study.strategies}
    shown = points.with_columns(panel=pl.col("strategy").replace_strict(heads))
    names = [heads[name] for name in study.strategies if name in points["strategy"].to_list()]
    kept = shown.filter("kept")["val_mae"], shown.filter("kept")["test_mae"]
    centre = pl.concat([shown["val_mae"].sort().head(max(1, int(0.9 * len(shown)))), kept[0]])
    low, high = span_of(centre)
    inside = shown.filter(pl.col("val_mae").is_between(low, high))
    ends = span_of(inside["test_mae"])
    x = alt.X(
        "val_mae:Q",
        title=study.axis("validation MAE"),
        scale=alt.Scale(domain=[low, high], nice=False, zero=False),
        axis=alt.Axis(tickCount=4, grid=False),
    )
    y = alt.Y(
        "test_mae:Q",
        title=study.axis("test MAE"),
        scale=alt.Scale(domain=ends, nice=False, zero=False),
        axis=alt.Axis(tickCount=4),
    )
    colour = own_colour(study)
    base = alt.Chart().encode(x=x, y=y, color=colour, description="words:N")
    layers = [
        base.transform_filter("!datum.kept").mark_point(size=20, strokeWidth=1.2, opacity=0.6),
        base.transform_filter("datum.kept").mark_point(size=42, filled=True, opacity=1),
    ]
    columns = columns_for(len(names))
    panel = alt.layer(*layers, data=inside).properties(width=panel_width(columns), height=170)
    beyond = len(shown) - len(inside)
    caption = (
        "Every scored trial by its validation and test MAE (mean over the search's training seeds); filled: it became "
        "the incumbent"
        + (f"; {beyond} trials beyond the axes are not drawn" if beyond else "")
        + ". ρ: Spearman's correlation over the trials of a search, mean over distinct searches, with its 95 % "
        "interval: over searches from 3 distinct ones on; with fewer, trials count as independent, which is too "
        "narrow. It includes trials far from the incumbents; among good candidates the agreement is lower. n = "
        f"{count(len(points), 'trial')} of "
        f"{count(points.select('strategy', 'trajectory').n_unique(), 'search', 'searches')}."
    )
    return Figure(
        "agreement",
        "Agreement of validation and test along the searches",
        caption,
        faceted(panel, "panel", names),
        {"agreement_trials": points.drop("words"), "agreement": study["agreement"]},
    )


def _head(name: str, row: dict | None) -> str:
    """The head of a strategy's panel."""
    if row is None:
        return f"{name}: ρ not known"
    return f"{name}: ρ {number(row['rho'])} ({interval(row['low'], row['high'])})"


def trial_errors(study: ReportStudy) -> pl.DataFrame:
    """One row per trial with a validation and a test error: means over the search's training seeds."""
    key = ["strategy", "trajectory", "iteration"]
    means = study["runs"].filter(pl.col("status") == "ok").group_by(key).agg(pl.col("val_mae", "test_mae").mean())
    full = study["trials"].filter(pl.col("fidelity") == 1)
    kept = full.select(*key, kept=(pl.col("incumbent") == pl.col("iteration")).fill_null(False))
    frame = kept.join(means.drop_nulls(), on=key, how="inner").sort(study.place(), *key)
    return described(
        frame,
        lambda row: f"{trial_name(row)}: validation {number(row['val_mae'])}, test {study.amount(row['test_mae'])}",
    )


def figure_gap(study: ReportStudy) -> Figure | None:
    """MAE of the incumbent on fit, early stopping, validation and test proteins along the search."""
    rows = (
        study["incumbents"]
        .with_columns(iteration=pl.col("equivalents").floor().cast(pl.Int64))  # of cheap ones the last
        .unique(["strategy", "trajectory", "iteration"], keep="last", maintain_order=True)
        .unpivot(on=list(_PARTS), index=["strategy", "trajectory", "iteration"], variable_name="part", value_name="mae")
        .drop_nulls("mae")
    )
    if not len(rows):
        return None
    medians = rows.group_by("strategy", "part", "iteration").agg(
        mae=pl.col("mae").median(), searches=pl.len().cast(pl.Int64)
    )
    medians = medians.with_columns(part=pl.col("part").replace_strict(_PARTS)).sort(study.place(), "part", "iteration")
    medians = described(
        medians, lambda row: f"{row['strategy']}, trial {row['iteration']} · {row['part']}: {study.amount(row['mae'])}"
    )
    parts = [name for name in _PARTS.values() if name in medians["part"].to_list()]
    places = [list(_PARTS.values()).index(name) for name in parts]
    legend = alt.Legend(title=None, orient="top")
    names = [name for name in study.strategies if name in medians["strategy"].to_list()]
    columns = columns_for(len(names))
    panel = (
        alt.Chart(medians)
        .mark_line(interpolate="step-after", strokeWidth=2, aria=False)
        .encode(
            x=alt.X("iteration:Q", title="trials after the baseline", axis=trial_axis(int(medians["iteration"].max()))),
            y=alt.Y(
                "mae:Q",
                title=study.axis("MAE of the incumbent"),
                scale=alt.Scale(domain=span_of(medians["mae"]), zero=False),
                axis=alt.Axis(tickCount=5),
            ),
            color=alt.Color(
                "part:N", scale=alt.Scale(domain=parts, range=[_COLOURS[place] for place in places]), legend=legend
            ),
            strokeDash=alt.StrokeDash(
                "part:N", scale=alt.Scale(domain=parts, range=[_DASHES[place] for place in places]), legend=legend
            ),
        )
        .properties(width=panel_width(columns), height=150)
    )
    caption = (
        "MAE of the validation incumbent on the proteins it was fitted to (decoys from fit), the early-stopping set, "
        "validation and test; mean over the search's training seeds, median over searches. A growing distance of fit "
        "to the others is overfitting of the training set; of validation to test, overfitting of the search. n = "
        f"{count(rows.select('strategy', 'trajectory').n_unique(), 'search', 'searches')}."
    )
    return Figure(
        "gap",
        "Gap between training, validation and test",
        caption,
        faceted(panel, "strategy", names),
        {"gap": medians.drop("words")},
    )
