"""How the strategies searched: steps, failures, expectations, and what accuracy costs in size."""

import altair as alt
import polars as pl

from tmelt.report.figures.theme import (
    FAINT,
    INK,
    MANY,
    MUTED,
    PALETTE,
    Figure,
    columns_for,
    linked,
    panel_width,
    pointing,
    scale_of,
    styled,
)
from tmelt.report.inputs import Study
from tmelt.report.words import count, number

STATUSES = {
    "crash": PALETTE[3],
    "invalid": PALETTE[4],
    "timeout": PALETTE[1],
    "oom": PALETTE[0],
    "disk": PALETTE[6],
    "tamper": INK,
    "refused": FAINT,
}


def figure_steps(study: Study, width: int) -> Figure | None:
    """How far each proposal moved from its parent in knob space."""
    rows = study["behaviour"].drop_nulls("step")
    if not len(rows):
        return None
    labels = [
        f"{row['strategy']} · search {row['trajectory']}, trial {row['iteration']}: {row['changed_knobs'] or 0} knobs"
        + (f", {100 * row['script_change']:.0f} % of the script" if row["script_change"] else "")
        for row in rows.to_dicts()
    ]
    drawn = linked(
        rows.select("strategy", "trajectory", "iteration", "step", "changed_knobs", "script_change")
    ).with_columns(words=pl.Series(labels), edited=pl.col("script_change").fill_null(0) > 0)
    names = [name for name in study.strategies if name in drawn["strategy"].to_list()]
    columns = columns_for(len(names), width)
    base = alt.Chart(drawn).encode(
        x=alt.X("iteration:Q", title="trial", axis=alt.Axis(grid=False, tickMinStep=1, format="d", tickCount=5)),
        y=alt.Y("step:Q", title="step", axis=alt.Axis(tickCount=4)),
        color=alt.Color("strategy:N", scale=scale_of(study)["color"]["scale"], legend=None),
        shape=alt.Shape("edited:N", scale=alt.Scale(domain=[False, True], range=["circle", "diamond"]), legend=None),
        **pointing(len(drawn)),
    )
    chart = base.mark_point(size=24, strokeWidth=1.4, opacity=0.75, aria=len(drawn) <= MANY).properties(
        width=panel_width(width, columns), height=120
    )
    chart = chart.facet(facet=alt.Facet("strategy:N", title=None, sort=names), columns=columns, spacing=16)
    medians = drawn.group_by("strategy", maintain_order=True).agg(
        pl.col("step").median(), pl.col("changed_knobs").median()
    )
    said = {row["strategy"]: f"{row['strategy']} {row['changed_knobs']:g}" for row in medians.to_dicts()}
    caption = (
        "Distance of each proposal to its parent in knob space, every knob scaled to 0–1, root mean square over "
        "knobs; diamonds: the script was edited, too. Median knobs changed: "
        f"{', '.join(said[name] for name in names)}. n = {count(len(drawn), 'trial')}."
    )
    return Figure(
        "steps", "How far the strategies step", caption, styled(chart, width), {"steps": drawn.drop("words", "link")}
    )


def figure_failures(study: Study, width: int) -> Figure | None:
    """Share of trials that failed, by strategy and kind."""
    if not len(study["failures"]):
        return None
    total = study["trials"].group_by("strategy").agg(trials=pl.len())
    rows = study["failures"].group_by("strategy", "status").agg(failed=pl.len()).join(total, on="strategy")
    rows = rows.with_columns(share=pl.col("failed") / pl.col("trials")).sort("strategy", "status")
    rows = rows.with_columns(failed=pl.col("failed").cast(pl.Int64), trials=pl.col("trials").cast(pl.Int64))
    words = [
        f"{row['strategy']} · {row['status']}: {row['failed']} of {row['trials']} trials" for row in rows.to_dicts()
    ]
    used = {name: colour for name, colour in STATUSES.items() if name in rows["status"].to_list()}
    used |= {name: MUTED for name in rows["status"].unique().sort() if name not in used}
    chart = (
        alt.Chart(rows.with_columns(words=pl.Series(words)))
        .mark_bar(height=13)
        .encode(
            y=alt.Y(
                "strategy:N",
                sort=study.strategies,
                title=None,
                axis=alt.Axis(grid=False, labelColor=INK),
                scale=alt.Scale(domain=study.strategies),
            ),
            x=alt.X("share:Q", title="share of trials that failed", axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color(
                "status:N",
                scale=alt.Scale(domain=list(used), range=list(used.values())),
                legend=alt.Legend(title=None, orient="top"),
            ),
            description="words:N",
        )
        .properties(width=width - (110 if width < 500 else 160), height=alt.Step(21))
    )
    failed, trials = len(study["failures"]), len(study["trials"])
    caption = (
        f"Trials without a score, by how they ended; refused: no legal proposal came about. n = {failed} of "
        f"{count(trials, 'trial')}."
    )
    return Figure("failures", "What failed", caption, styled(chart, width), {"failures": rows})


def figure_expectations(study: Study, width: int) -> Figure | None:
    """Expected against observed effect of proposals that stated one."""
    rows = study["behaviour"].drop_nulls(["expected_effect", "effect"])
    if not len(rows):
        return None
    labels = [
        f"{row['strategy']} · search {row['trajectory']}, trial {row['iteration']}: expected "
        f"{number(row['expected_effect'], signed=True)}, observed {number(row['effect'], signed=True)} °C"
        for row in rows.to_dicts()
    ]
    drawn = linked(
        rows.select("strategy", "trajectory", "iteration", "expected_effect", "effect", "effect_se", "came_true")
    )
    drawn = drawn.with_columns(words=pl.Series(labels))
    limit = float(drawn["effect"].abs().quantile(0.95) or 1) + 0.2
    beyond = drawn.filter(pl.col("effect").abs() > limit)
    shown = drawn.filter(pl.col("effect").abs() <= limit)
    scale = scale_of(study)
    x = alt.X(
        "expected_effect:Q",
        title="expected change of validation MAE (°C)",
        scale=alt.Scale(zero=True),
        axis=alt.Axis(tickCount=5),
    )
    y = alt.Y("effect:Q", title="observed change (°C)", scale=alt.Scale(domain=[-limit, limit]))
    ends = [float(min(shown["expected_effect"].min(), 0)), float(max(shown["expected_effect"].max(), 0))]
    diagonal = pl.DataFrame({"expected_effect": ends, "effect": ends})
    line = (
        alt.Chart(diagonal)
        .mark_line(strokeDash=[3, 3], color=FAINT, strokeWidth=1, aria=False, clip=True)
        .encode(x=x, y=y)
    )
    zero = alt.Chart(pl.DataFrame({"effect": [0.0]})).mark_rule(color=FAINT, aria=False).encode(y=y)
    dots = (
        alt.Chart(shown)
        .mark_point(size=34, strokeWidth=1.6, opacity=0.85, aria=len(drawn) <= MANY)
        .encode(x=x, y=y, color=scale["color"], shape=scale["shape"], **pointing(len(drawn)))
    )
    chart = alt.layer(zero, line, dots).properties(width=width - 75, height=230)
    judged = drawn.drop_nulls("came_true")
    true = int(judged["came_true"].sum())
    caption = (
        "What the proposers expected and what happened, against the parent's validation MAE; dashed: as expected. "
        f"{true} of {count(len(judged), 'expectation')} came true: same sign, and larger than the seed noise. "
        + (f"{len(beyond)} beyond the axis. " if len(beyond) else "")
        + f"n = {count(len(drawn), 'trial')}."
    )
    return Figure(
        "expectations",
        "Hypotheses against outcomes",
        caption,
        styled(chart, width),
        {"expectations": drawn.drop("words", "link")},
    )


def figure_pareto(study: Study, width: int) -> Figure | None:
    """Validation MAE against trainable parameters, with the Pareto front of error, size and latency."""
    rows = study["behaviour"].drop_nulls(["val_mae", "parameter_count"]).filter(pl.col("parameter_count") > 0)
    if not len(rows):
        return None
    labels = [
        f"{row['strategy']} · search {row['trajectory']}, trial {row['iteration']}: {number(row['val_mae'])} °C, "
        f"{row['parameter_count']:,} parameters, {number(row['predict_s'])} s to predict"
        for row in rows.to_dicts()
    ]
    drawn = linked(
        rows.select("strategy", "trajectory", "iteration", "val_mae", "parameter_count", "predict_s", "pareto")
    )
    drawn = drawn.with_columns(words=pl.Series(labels))
    top = float(drawn["val_mae"].quantile(0.92)) + 0.2
    shown, beyond = drawn.filter(pl.col("val_mae") <= top), drawn.filter(pl.col("val_mae") > top)
    scale = scale_of(study)
    base = alt.Chart(shown).encode(
        x=alt.X(
            "parameter_count:Q",
            title="trainable parameters",
            scale=alt.Scale(type="log", nice=False, padding=8),
            axis=alt.Axis(format="~s", tickCount=5, grid=False),
        ),
        y=alt.Y("val_mae:Q", title="validation MAE (°C)", scale=alt.Scale(zero=False, padding=6)),
        color=scale["color"],
        shape=scale["shape"],
    )
    few = len(drawn) <= MANY
    plain = base.transform_filter("!datum.pareto").mark_point(size=20, strokeWidth=1.2, opacity=0.4, aria=few)
    plain = plain.encode(**pointing(len(drawn)))
    front = base.transform_filter("datum.pareto").mark_point(size=60, filled=True, opacity=1)
    front = front.encode(href="link:N", description="words:N")
    chart = alt.layer(plain, front).properties(width=width - 75, height=250)
    caption = (
        f"Filled: the {int(drawn['pareto'].sum())} trials that no other trial equals or beats in error, parameters "
        "and latency at once. "
        + (f"{count(len(beyond), 'trial')} above the axis. " if len(beyond) else "")
        + f"n = {count(len(drawn), 'trial')} with a score."
    )
    return Figure(
        "pareto", "Error, size and latency", caption, styled(chart, width), {"pareto": drawn.drop("words", "link")}
    )
