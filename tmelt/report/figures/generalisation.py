"""How far the winners carry: more budget, less data, an organism never trained on; whether they know their error."""

import altair as alt
import polars as pl

from tmelt.report.figures.theme import FAINT, INK, Figure, beside, panel_width, scale_of, styled
from tmelt.report.inputs import Study
from tmelt.report.words import count, number

NOMINAL = 0.9  # coverage that the intervals of `calibration` aim at


def figure_levels(study: Study, width: int) -> Figure | None:
    """Test MAE of the winners with a larger budget and with less training data."""
    rows = study["generalisation"].filter(pl.col("kind").is_in(["budget", "fraction"])).drop_nulls("test_mae")
    if not len(rows):
        return None
    means = (
        rows.group_by("strategy", "kind", "level")
        .agg(
            test_mae=pl.col("test_mae").mean(),
            winners=pl.len().cast(pl.Int64),
            low=pl.col("low").min(),
            high=pl.col("high").max(),
        )
        .sort("kind", "strategy", "level")
    )
    words = [f"{row['strategy']} · {row['level']:g}×: {number(row['test_mae'])} °C" for row in means.to_dicts()]
    means = means.with_columns(words=pl.Series(words))
    scale = scale_of(study)
    titles = {"budget": "training budget (× the search's)", "fraction": "share of the training proteins"}
    kinds = [kind for kind in titles if kind in means["kind"].to_list()]
    values = means["test_mae"]
    y = alt.Y(
        "test_mae:Q",
        title="test MAE (°C)",
        scale=alt.Scale(domain=[float(values.min()) - 0.15, float(values.max()) + 0.15], zero=False),
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
            axis=alt.Axis(values=ticks, grid=False, format="~g"),
        )
        base = alt.Chart(own).encode(x=x, y=y, color=scale["color"])
        charts.append(
            (
                base.mark_line(strokeWidth=1.8, aria=False).encode(strokeDash=scale["dash"])
                + base.mark_point(size=48, filled=True, opacity=1).encode(shape=scale["shape"], description="words:N")
            ).properties(width=panel_width(width, 1 if width < 500 else len(kinds)), height=200)
        )
    searches = rows.select("strategy", "trajectory").n_unique()
    caption = (
        "The winners retrained with the same script and knobs on fresh seeds; mean over the winners of a strategy. "
        f"Intervals are in the table behind the figure. n = {count(searches, 'winner')}, "
        f"{count(int(rows['seeds'].max()), 'fresh seed')} each."
    )
    return Figure(
        "generalisation",
        "More budget, less data",
        caption,
        styled(beside(charts, width, color="shared", shape="shared", strokeDash="shared"), width),
        {"generalisation": study["generalisation"]},
    )


def figure_left_out(study: Study, width: int) -> Figure | None:
    """Error on an organism that was left out of training, against the error when it was there."""
    rows = study["generalisation"].filter(pl.col("kind") == "organism").drop_nulls(["test_mae", "reference_mae"])
    if not len(rows):
        return None
    means = (
        rows.group_by("strategy", "organism")
        .agg(pl.col("test_mae", "reference_mae").mean())
        .sort("organism", "strategy")
    )
    words = [
        f"{row['strategy']} · {row['organism']}: {number(row['test_mae'])} °C left out, "
        f"{number(row['reference_mae'])} °C else"
        for row in means.to_dicts()
    ]
    means = means.with_columns(
        words=pl.Series(words),
        place=pl.col("strategy").replace_strict({name: i for i, name in enumerate(study.strategies)}, default=99),
    ).sort("organism", "place")
    scale = scale_of(study)
    y = alt.Y(
        "organism:N", title=None, axis=alt.Axis(grid=True, labelColor=INK, labelLimit=130 if width < 500 else 220)
    )
    offset = alt.YOffset("strategy:N", sort=study.strategies, scale=alt.Scale(domain=study.strategies))
    base = alt.Chart(means)
    x = alt.X("test_mae:Q", title="MAE on this organism (°C)", scale=alt.Scale(zero=False), axis=alt.Axis(grid=False))
    lines = base.mark_rule(strokeWidth=1.4, opacity=0.7, aria=False).encode(
        y=y,
        yOffset=offset,
        x=alt.X("reference_mae:Q", scale=alt.Scale(zero=False)),
        x2="test_mae:Q",
        color=alt.Color("strategy:N", scale=scale["color"]["scale"], legend=None),
    )
    there = base.mark_tick(thickness=1.6, size=8, aria=False).encode(
        y=y,
        yOffset=offset,
        x="reference_mae:Q",
        color=alt.Color("strategy:N", scale=scale["color"]["scale"], legend=None),
    )
    gone = base.mark_point(size=42, filled=True, opacity=1).encode(
        y=y, yOffset=offset, x=x, color=scale["color"], shape=scale["shape"], description="words:N"
    )
    chart = alt.layer(lines, there, gone).properties(width=width - (150 if width < 500 else 230), height=alt.Step(9))
    note = rows["note"].drop_nulls().unique().sort().to_list()
    caption = (
        "Marks: MAE on all validation and test proteins of an organism when the winner was trained without it; "
        "ticks: the same proteins with all training data. Mean over the winners of a strategy. "
        + (f"Note: {note[0]}. " if note else "")
        + f"n = {count(means['organism'].n_unique(), 'organism')}, "
        f"{count(rows.select('strategy', 'trajectory').n_unique(), 'winner')}."
    )
    return Figure(
        "left_out",
        "An organism never trained on",
        caption,
        styled(chart, width),
        {"left_out": means.drop("words", "place")},
    )


def figure_calibration(study: Study, width: int) -> Figure | None:
    """Whether proteins on which fresh seeds disagree are those with larger errors, and how often intervals hold."""
    rows = study["calibration"].filter(pl.col("role") == "winner").drop_nulls(["sd", "mae"])
    if not len(rows):
        return None
    means = rows.group_by("strategy", "bin").agg(pl.col("sd", "mae", "coverage").mean()).sort("strategy", "bin")
    words = [
        f"{row['strategy']} · spread {number(row['sd'])} °C: MAE {number(row['mae'])} °C" for row in means.to_dicts()
    ]
    means = means.with_columns(words=pl.Series(words))
    scale = scale_of(study)
    colour = {"color": scale["color"], "strokeDash": scale["dash"]}
    base = alt.Chart(means)
    size = {"width": panel_width(width, 1 if width < 500 else 2), "height": 200}
    x = alt.X("sd:Q", title="spread over fresh seeds (°C)", scale=alt.Scale(zero=False), axis=alt.Axis(grid=False))
    y = alt.Y("mae:Q", title="test MAE (°C)", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    error = base.mark_line(strokeWidth=1.6, aria=False).encode(x=x, y=y, **colour) + base.mark_point(
        size=40, filled=True, opacity=1
    ).encode(x=x, y=y, color=scale["color"], shape=scale["shape"], description="words:N")
    charts = [error.properties(**size)]
    if means["coverage"].drop_nulls().len():
        fifth = alt.X("bin:O", title="fifth of the proteins by spread, 0 the surest", axis=alt.Axis(labelAngle=0))
        share = alt.Y(
            "coverage:Q", title="share within the 90 % interval", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)
        )
        aim = (
            alt.Chart(pl.DataFrame({"coverage": [NOMINAL]}))
            .mark_rule(strokeDash=[3, 3], color=FAINT, aria=False)
            .encode(y=share)
        )
        cover = (
            aim
            + base.mark_line(strokeWidth=1.6, aria=False).encode(x=fifth, y=share, **colour)
            + base.mark_point(size=40, filled=True, opacity=1, aria=False).encode(
                x=fifth, y=share, color=scale["color"], shape=scale["shape"]
            )
        )
        charts.append(cover.properties(**size))
    proteins = rows.group_by("strategy", "trajectory").agg(pl.col("proteins").sum())["proteins"]
    caption = (
        "Test proteins in fifths by how much the fresh seeds of a winner disagree; mean over the winners of a "
        "strategy. Left (on a phone: above): their error; right: how many lie within the 90 % interval that "
        f"validation errors calibrated, dashed: 90 %. n = {count(int(proteins.max()), 'test protein')}."
    )
    return Figure(
        "calibration",
        "Do the winners know when they err",
        caption,
        styled(beside(charts, width, color="shared", shape="shared", strokeDash="shared"), width),
        {"calibration": study["calibration"]},
    )
