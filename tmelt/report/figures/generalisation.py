"""How far the winners carry: more budget, less data, an organism never trained on; whether they know their error."""

from typing import Any

import altair as alt
import polars as pl

from tmelt.evidence.calibration import ALL, CONFORMAL, LEVEL, SPREAD
from tmelt.report.figures.theme import (
    FAINT,
    GRID,
    INK,
    NAMES,
    WIDTH,
    Figure,
    beside,
    described,
    in_rows,
    names_axis,
    own_colour,
    panel_width,
    scale_of,
)
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, counts, interval, number

_KINDS = {SPREAD: "spread of seeds", CONFORMAL: "conformal"}


def figure_levels(study: ReportStudy) -> Figure | None:
    """Test MAE of the winners with a larger budget and with less training data."""
    means = study["horizons"].drop_nulls("test_mae").sort("kind", "strategy", "level")
    if not len(means):
        return None
    means = described(means, lambda row: _level_words(study, row))
    scale = scale_of(study)
    titles = {"budget": "training budget (× the search's)", "fraction": "share of the training proteins"}
    kinds = [kind for kind in titles if kind in means["kind"].to_list()]
    values = means["test_mae"]
    room = max(0.3, float(values.max() - values.min()))
    y = alt.Y(
        "test_mae:Q",
        title=study.axis("test MAE"),
        scale=alt.Scale(domain=[max(0.0, float(values.min()) - room), float(values.max()) + room], zero=False),
    )
    charts = []
    for kind in kinds:
        own = means.filter(pl.col("kind") == kind)
        ticks = own["level"].unique().sort().to_list()
        x = alt.X(
            "level:Q",
            title=titles[kind],
            scale=alt.Scale(type="log", base=2, nice=False, padding=10)
            if kind == "budget"
            else alt.Scale(padding=10, zero=False),
            axis=alt.Axis(values=ticks, grid=False, format="~g" if kind == "budget" else ".0%"),
        )
        base = alt.Chart(own).encode(x=x, y=y, color=scale["color"])
        ends = alt.Chart(own).mark_rule(strokeWidth=1.2, opacity=0.35, aria=False, clip=True)
        charts.append(
            (
                ends.encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=scale["color"])
                + base.mark_line(strokeWidth=1.8, aria=False).encode(strokeDash=scale["dash"])
                + base.mark_point(size=48, filled=True, opacity=1).encode(shape=scale["shape"], description="words:N")
            ).properties(width=panel_width(len(kinds)), height=200)
        )
    changed = means.drop_nulls("p_value")
    retrained = study["generalisation"].filter(pl.col("kind") != "organism").drop_nulls("test_mae")
    retrained = retrained.select("strategy", "trajectory").n_unique()
    clear = changed.filter(pl.col("p_value") < 0.05)
    caption = (
        "The winners retrained with the same script and knobs on fresh seeds; mean over the winners of a strategy; "
        "thin bars: 95 % interval of the level, cut at the axis. All levels share their proteins, so overlapping bars "
        "do not mean that two levels are alike: the paired differences to the search's own budget and data, with "
        "intervals and p, are in the table below "
        f"(p < .05, not adjusted: {len(clear)} of {len(changed)}). n = "
        f"{count(retrained, 'winner')}, "
        f"{counts(study['generalisation'].filter(pl.col('seeds') > 0)['seeds'], 'fresh seed')} each."
    )
    return Figure(
        "generalisation",
        "Generalisation to more budget and less data",
        caption,
        beside(charts, color="shared", shape="shared", strokeDash="shared"),
        {"generalisation": study["generalisation"], "horizons": study["horizons"]},
    )


def _level_words(study: ReportStudy, row: dict[str, Any]) -> str:
    """What a mark of `figure_levels` says."""
    words = f"{row['strategy']} · {row['level']:g}×: {study.amount(row['test_mae'])}"
    if row["difference"] is not None:
        span = interval(row["difference_low"], row["difference_high"], signed=True)
        words += f", {number(row['difference'], signed=True)} against 1×" + (f" ({span})" if span else "")
    return words


def figure_left_out(study: ReportStudy) -> Figure | None:
    """Error on an organism that was left out of training, against the error when it was there."""
    rows = study["generalisation"].filter(pl.col("kind") == "organism").drop_nulls(["test_mae", "reference_mae"])
    if not len(rows):
        return None
    means = (
        rows.group_by("strategy", "organism")
        .agg(pl.col("test_mae", "reference_mae").mean())
        .sort("organism", study.place())
    )
    means = described(
        means,
        lambda row: (
            f"{row['strategy']} · {row['organism']}: {study.amount(row['test_mae'])} left out, "
            f"{study.amount(row['reference_mae'])} otherwise"
        ),
    )
    scale = scale_of(study)
    y = alt.Y("organism:N", title=None, axis=alt.Axis(grid=True, labelColor=INK, labelLimit=NAMES))
    offset = alt.YOffset("strategy:N", sort=study.strategies, scale=alt.Scale(domain=study.strategies))
    base = alt.Chart(means)
    x = alt.X(
        "test_mae:Q",
        title=study.axis(f"MAE on this {study.group.name}"),
        scale=alt.Scale(zero=False),
        axis=alt.Axis(grid=False, tickCount=7),
    )
    lines = base.mark_rule(strokeWidth=1.4, opacity=0.7, aria=False).encode(
        y=y,
        yOffset=offset,
        x=alt.X("reference_mae:Q", scale=alt.Scale(zero=False)),
        x2="test_mae:Q",
        color=own_colour(study),
    )
    there = base.mark_tick(thickness=1.6, size=8, aria=False).encode(
        y=y, yOffset=offset, x="reference_mae:Q", color=own_colour(study)
    )
    gone = base.mark_point(size=42, filled=True, opacity=1).encode(
        y=y, yOffset=offset, x=x, color=scale["color"], shape=scale["shape"], description="words:N"
    )
    chart = alt.layer(lines, there, gone).properties(width=WIDTH - NAMES - 30, height=alt.Step(9))
    note = rows["note"].drop_nulls().unique().sort().to_list()
    caption = (
        f"Marks: MAE on all validation and test proteins of {study.group.one} when the winner was trained without it; "
        "ticks: the same proteins with all training data. Mean over the winners of a strategy. "
        + (f"Note: {note[0]}. " if note else "")
        + f"n = {count(means['organism'].n_unique(), study.group.name, study.group.plural)}, "
        f"{count(rows.select('strategy', 'trajectory').n_unique(), 'winner')}."
    )
    return Figure(
        "left_out",
        f"Generalisation to {study.group.one} left out of training",
        caption,
        chart,
        {"left_out": means.drop("words")},
    )


def figure_calibration(study: ReportStudy) -> Figure | None:
    """Whether proteins on which fresh seeds disagree err more, and how often two kinds of interval hold on test."""
    bins = study["calibration"].filter(pl.col("role") == "winner")
    whole = study["coverage"].filter((pl.col("role") == "winner") & (pl.col("group") == ALL))
    if not len(whole):
        return None
    scale = scale_of(study)
    kinds = [kind for kind in _KINDS if kind in whole["kind"].to_list()]
    panels = {"error by spread": _error_by_spread(study, bins, scale)} if len(bins) else {}
    shares = (
        whole.group_by("strategy", "kind", "level")
        .agg(pl.col("coverage", "half_width").mean())
        .sort("strategy", "kind", "level")
    )
    lowest = min(0.45, float(shares["coverage"].min()) - 0.03)
    for kind in kinds:
        panels[_KINDS[kind]] = _held_against_promised(study, shares.filter(pl.col("kind") == kind), lowest, scale)
    charts = [
        panel.properties(width=panel_width(len(panels), 40 * len(panels)), height=200, title=title)
        for title, panel in panels.items()
    ]
    rho = bins.filter(pl.col("bin") == 0)["rho"].drop_nulls()
    caption = (
        "Interval calibration of single predictions. "
        + (
            "First panel: fifths of the test proteins by how much the fresh seeds of a winner disagree, "
            f"and their error; the rank correlation of the two is {number(float(rho.mean()))} on average. "
            if len(rho)
            else ""
        )
        + "Then: how often intervals hold on test against what they promise; dashed: exactly as often. "
        + (
            "Spread of seeds: the interval that would be right if the measurement were one more seed's prediction; "
            "below the line the seeds agree on errors. "
            if SPREAD in kinds
            else ""
        )
        + "Conformal: one width for all proteins, from the errors on select, which no search saw. "
        "Mean over the winners of a strategy. n = "
        f"{count(int(whole['proteins'].max()), 'test protein')}."
    )
    return Figure(
        "calibration",
        "Interval calibration of the winners",
        caption,
        beside(charts, color="shared", shape="shared", strokeDash="shared"),
        {"calibration": study["calibration"], "coverage": study["coverage"]},
    )


def _error_by_spread(study: ReportStudy, bins: pl.DataFrame, scale: dict[str, Any]) -> alt.LayerChart:
    """Error of the test proteins in fifths by how much the fresh seeds disagree."""
    means = bins.group_by("strategy", "bin").agg(pl.col("sd", "mae").mean()).sort("strategy", "bin")
    spread = study.axis("spread over fresh seeds")
    x = alt.X("sd:Q", title=spread, scale=alt.Scale(zero=False), axis=alt.Axis(grid=False))
    y = alt.Y("mae:Q", title=study.axis("test MAE"), scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    means = described(
        means, lambda row: f"{row['strategy']}: spread {number(row['sd'])}, MAE {study.amount(row['mae'])}"
    )
    return _curve(means, x, y, scale)


def _held_against_promised(
    study: ReportStudy, shares: pl.DataFrame, lowest: float, scale: dict[str, Any]
) -> alt.LayerChart:
    """How often intervals of one kind hold on test, by what they promise; the axis begins at `lowest`."""
    shares = described(
        shares,
        lambda row: (
            f"{row['strategy']}: {100 * row['coverage']:.0f} % within ±{study.amount(row['half_width'])}, should "
            f"be {100 * row['level']:.0f} %"
        ),
    )
    x = alt.X(
        "level:Q",
        title="nominal coverage",
        scale=alt.Scale(domain=[0.45, 1], nice=False),
        axis=alt.Axis(values=[0.5, 0.65, 0.8, 0.95], format=".0%", grid=False, labelOverlap="greedy"),
    )
    y = alt.Y(
        "coverage:Q",
        title="coverage on test",
        scale=alt.Scale(domain=[lowest, 1], nice=False),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    ends = pl.DataFrame({"level": [0.45, 1.0], "coverage": [0.45, 1.0]})
    ideal = alt.Chart(ends).mark_line(strokeDash=[3, 3], color=FAINT, strokeWidth=1, aria=False, clip=True)
    return alt.layer(ideal.encode(x=x, y=y), _curve(shares, x, y, scale))


def _curve(frame: pl.DataFrame, x: alt.X, y: alt.Y, scale: dict[str, Any]) -> alt.LayerChart:
    """A line and marks per strategy; `frame` has `words`."""
    base = alt.Chart(frame).encode(x=x, y=y, color=scale["color"])
    line = base.mark_line(strokeWidth=1.6, aria=False, clip=True).encode(strokeDash=scale["dash"])
    return line + base.mark_point(size=40, filled=True, opacity=1).encode(shape=scale["shape"], description="words:N")


def figure_coverage(study: ReportStudy) -> Figure | None:
    """Coverage of the conformal intervals in each organism."""
    rows = study["coverage"].filter(
        (pl.col("role") == "winner") & (pl.col("kind") == CONFORMAL) & (pl.col("level") == LEVEL)
    )
    if rows["group"].n_unique() < 2:
        return None
    means = rows.group_by("strategy", "group", "proteins").agg(
        pl.col("coverage", "half_width", "chance_low", "chance_high").mean()
    )
    means = means.sort(pl.col("group") != ALL, "group", study.place())
    drawn = described(
        means.with_columns(label=pl.format("{} ({})", "group", "proteins")),
        lambda row: f"{row['strategy']} · {row['label']}: {100 * row['coverage']:.0f} % inside",
    )
    scale = scale_of(study)
    x = alt.X(
        "coverage:Q",
        title=f"share of proteins inside their {100 * LEVEL:.0f} % interval",
        scale=alt.Scale(zero=False, domainMax=1),
        axis=alt.Axis(format="%", grid=False, tickCount=6),
    )
    labels = drawn["label"].unique(maintain_order=True).to_list()
    y = names_axis("label", labels)
    base = alt.Chart(drawn)
    one = drawn.unique("label", keep="first", maintain_order=True)
    luck = alt.Chart(one).mark_rule(color=GRID, strokeWidth=7, aria=False)
    aim = alt.Chart(pl.DataFrame({"coverage": [LEVEL]})).mark_rule(color=FAINT, strokeDash=[3, 3], aria=False)
    marks = base.mark_point(size=46, strokeWidth=1.9, opacity=0.95).encode(
        x=x, y=y, color=scale["color"], shape=scale["shape"], description="words:N"
    )
    chart = alt.layer(luck.encode(x=alt.X("chance_low:Q"), x2="chance_high:Q", y=y), aim.encode(x=x), marks)
    widths = means.filter(pl.col("group") == ALL)
    said = ", ".join(f"{row['strategy']} ±{number(row['half_width'], 1)}" for row in widths.to_dicts())
    name = study.group.name
    caption = (
        f"Conformal intervals of {100 * LEVEL:.0f} %, in each {name} (test proteins in brackets; fewer than 8 are left "
        f"out). They promise this share over all proteins, not within one {name}: {study.group.one} to the left is "
        "predicted with less certainty than the interval says. Grey: what chance alone allows for independent "
        f"proteins. Half widths{study.target.in_unit}: {said}. Mean over the winners of a strategy."
    )
    return Figure(
        "coverage_by_organism",
        f"Interval calibration by {study.group.name}",
        caption,
        in_rows(chart, labels),
        {"coverage_by_organism": means},
    )
