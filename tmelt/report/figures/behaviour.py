"""How the strategies searched: steps, what they touched, failures, expectations, and what accuracy costs in size."""

import altair as alt
import polars as pl

from tmelt.report.figures.attribution import THIRDS
from tmelt.report.figures.theme import (
    FAINT,
    INK,
    MANY,
    MUTED,
    PALETTE,
    SHAPES,
    WIDTH,
    Figure,
    beside,
    columns_for,
    described,
    faceted,
    in_rows,
    linked,
    log_ticks,
    names_axis,
    own_colour,
    panel_width,
    pointing,
    scale_of,
    span_of,
    trial_axis,
    zero_line,
)
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, number, trial_name
from tmelt.search.knobs import CATEGORIES as KNOB_CATEGORIES

CATEGORIES = (*KNOB_CATEGORIES, "other")

_SIZES = (("parameter_count", "trainable parameters", "~s"), ("predict_s", "seconds of a prediction pass", "~g"))
STATUSES = {
    "crash": PALETTE[3],
    "invalid": PALETTE[4],
    "timeout": PALETTE[1],
    "oom": PALETTE[0],
    "disk": PALETTE[6],
    "tamper": INK,
    "refused": FAINT,
}


def figure_steps(study: ReportStudy) -> Figure | None:
    """How far each proposal moved from its parent in knob space."""
    rows = study["behaviour"].drop_nulls("step")
    if not len(rows):
        return None
    rows = rows.select("strategy", "trajectory", "iteration", "step", "changed_knobs", "script_change")
    drawn = described(
        linked(rows),
        lambda row: (
            f"{trial_name(row)}: {row['changed_knobs'] or 0} knobs"
            + (f", {100 * row['script_change']:.0f} % of the script" if row["script_change"] else "")
        ),
    ).with_columns(edited=pl.col("script_change").fill_null(0) > 0)
    names = [name for name in study.strategies if name in drawn["strategy"].to_list()]
    columns = columns_for(len(names))
    base = alt.Chart(drawn).encode(
        x=alt.X("iteration:Q", title="trial", axis=trial_axis(int(drawn["iteration"].max()))),
        y=alt.Y("step:Q", title="step", axis=alt.Axis(tickCount=4)),
        color=own_colour(study),
        shape=alt.Shape("edited:N", scale=alt.Scale(domain=[False, True], range=["circle", "diamond"]), legend=None),
        **pointing(len(drawn)),
    )
    chart = base.mark_point(size=24, strokeWidth=1.4, opacity=0.75, aria=len(drawn) <= MANY).properties(
        width=panel_width(columns), height=120
    )
    chart = faceted(chart, "strategy", names)
    medians = drawn.group_by("strategy", maintain_order=True).agg(
        pl.col("step").median(), pl.col("changed_knobs").median()
    )
    said = {row["strategy"]: f"{row['strategy']} {row['changed_knobs']:g}" for row in medians.to_dicts()}
    caption = (
        "Distance of each proposal to its parent in knob space, every knob scaled to 0–1, root mean square over "
        "knobs; diamonds: the script was also edited. Median knobs changed: "
        f"{', '.join(said[name] for name in names)}. n = {count(len(drawn), 'trial')}."
    )
    return Figure("steps", "Step sizes of the proposals", caption, chart, {"steps": drawn.drop("words", "link")})


def figure_failures(study: ReportStudy) -> Figure | None:
    """Share of trials that failed, by strategy and kind."""
    if not len(study["failures"]):
        return None
    total = study["trials"].group_by("strategy").agg(trials=pl.len())
    rows = study["failures"].group_by("strategy", "status").agg(failed=pl.len()).join(total, on="strategy")
    rows = rows.with_columns(share=pl.col("failed") / pl.col("trials")).sort("strategy", "status")
    rows = rows.with_columns(failed=pl.col("failed").cast(pl.Int64), trials=pl.col("trials").cast(pl.Int64))
    drawn = described(
        rows, lambda row: f"{row['strategy']} · {row['status']}: {row['failed']} of {row['trials']} trials"
    )
    used = {name: colour for name, colour in STATUSES.items() if name in rows["status"].to_list()}
    used |= {name: MUTED for name in rows["status"].unique().sort() if name not in used}
    bars = (
        alt.Chart(drawn)
        .mark_bar(height=13)
        .encode(
            y=names_axis("strategy", study.strategies, grid=False, scale=alt.Scale(domain=study.strategies)),
            x=alt.X("share:Q", title="share of trials that failed", axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color(
                "status:N",
                scale=alt.Scale(domain=list(used), range=list(used.values())),
                legend=alt.Legend(title=None, orient="top"),
            ),
            description="words:N",
        )
    )
    failed, trials = len(study["failures"]), len(study["trials"])
    caption = (
        f"Trials without a score, by how they ended; refused: no legal proposal came about. n = {failed} of "
        f"{count(trials, 'trial')}."
    )
    return Figure("failures", "Failed trials", caption, in_rows(bars, study.strategies), {"failures": rows})


def figure_expectations(study: ReportStudy) -> Figure | None:
    """Expected against observed effect of proposals that stated one."""
    rows = study["behaviour"].drop_nulls(["expected_effect", "effect"])
    if not len(rows):
        return None
    rows = rows.select("strategy", "trajectory", "iteration", "expected_effect", "effect", "effect_se", "came_true")
    drawn = described(
        linked(rows),
        lambda row: (
            f"{trial_name(row)}: expected {number(row['expected_effect'], signed=True)}, observed "
            f"{study.amount(row['effect'], signed=True)}"
        ),
    )
    limit = float(drawn["effect"].abs().quantile(0.95) or 1) + 0.2
    beyond = drawn.filter(pl.col("effect").abs() > limit)
    shown = drawn.filter(pl.col("effect").abs() <= limit)
    scale = scale_of(study)
    x = alt.X(
        "expected_effect:Q",
        title=study.axis("expected change of validation MAE"),
        scale=alt.Scale(zero=True, padding=12),
        axis=alt.Axis(tickCount=5),
    )
    y = alt.Y("effect:Q", title=study.axis("observed change"), scale=alt.Scale(domain=[-limit, limit]))
    ends = [float(min(shown["expected_effect"].min(), 0)), float(max(shown["expected_effect"].max(), 0))]
    diagonal = pl.DataFrame({"expected_effect": ends, "effect": ends})
    line = (
        alt.Chart(diagonal)
        .mark_line(strokeDash=[3, 3], color=FAINT, strokeWidth=1, aria=False, clip=True)
        .encode(x=x, y=y)
    )
    zero = zero_line("effect", y=y)
    dots = (
        alt.Chart(shown)
        .mark_point(size=34, strokeWidth=1.6, opacity=0.85, aria=len(drawn) <= MANY)
        .encode(x=x, y=y, color=scale["color"], shape=scale["shape"], **pointing(len(drawn)))
    )
    chart = alt.layer(zero, line, dots).properties(width=WIDTH - 75, height=230)
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
        "Expected against observed effects",
        caption,
        chart,
        {"expectations": drawn.drop("words", "link")},
    )


def figure_pareto(study: ReportStudy) -> Figure | None:
    """Validation MAE against trainable parameters, with the Pareto front of error, size and latency."""
    rows = study["behaviour"].drop_nulls(["val_mae", "parameter_count"])
    rows = rows.filter((pl.col("parameter_count") > 0) & (pl.col("fidelity") == 1))
    if not len(rows):
        return None
    rows = rows.select("strategy", "trajectory", "iteration", "val_mae", "parameter_count", "predict_s", "pareto")
    drawn = described(
        linked(rows),
        lambda row: (
            f"{trial_name(row)}: {study.amount(row['val_mae'])}, {row['parameter_count']:,} parameters, "
            f"{number(row['predict_s'])} s to predict"
        ),
    )
    top = float(drawn["val_mae"].quantile(0.92)) + 0.2
    shown, beyond = drawn.filter(pl.col("val_mae") <= top), drawn.filter(pl.col("val_mae") > top)
    scale = scale_of(study)
    few = len(drawn) <= MANY
    y = alt.Y(
        "val_mae:Q",
        title=study.axis("validation MAE"),
        scale=alt.Scale(domain=span_of(shown["val_mae"]), nice=True, zero=False),
    )
    panels = []
    for column, title, form in _SIZES:
        own = shown.filter(pl.col(column) > 0)
        if not len(own):
            continue
        x = alt.X(
            f"{column}:Q",
            title=title,
            scale=alt.Scale(type="log", nice=False, padding=8),
            axis=alt.Axis(
                format=form,
                grid=False,
                values=log_ticks(float(own[column].min()), float(own[column].max()), 5),
                labelOverlap=False,
            ),
        )
        base = alt.Chart(own).encode(x=x, y=y, color=scale["color"], shape=scale["shape"])
        plain = base.transform_filter("!datum.pareto").mark_point(size=20, strokeWidth=1.2, opacity=0.4, aria=few)
        front = base.transform_filter("datum.pareto").mark_point(size=60, filled=True, opacity=1)
        panels.append(
            alt.layer(
                plain.encode(**pointing(len(drawn))), front.encode(href="link:N", description="words:N")
            ).properties(width=panel_width(2), height=230)
        )
    caption = (
        "Every trial's error against its size (left) and against the time of one prediction pass "
        f"(right). Filled: the {count(int(drawn['pareto'].sum()), 'trial')} than which none is better in error, "
        "parameters or time without being worse in another. "
        + (
            f"{count(len(beyond), 'trial')} above the axis ({int(beyond['pareto'].sum())} filled). "
            if len(beyond)
            else ""
        )
        + f"n = {count(len(drawn), 'trial')} with a score."
    )
    return Figure(
        "pareto",
        "Error, size and latency",
        caption,
        beside(panels, color="shared", shape="shared"),
        {"pareto": drawn.drop("words", "link")},
    )


def figure_categories(study: ReportStudy) -> Figure | None:
    """What the proposals touched, in thirds of the search."""
    shares, trials = category_shares(study)
    if not len(shares):
        return None
    drawn = described(
        shares,
        lambda row: (
            f"{row['strategy']}, {row['third']} third: {row['touching']} of {row['trials']} trials touch "
            f"{row['category']}"
        ),
    )
    names = [name for name in study.strategies if name in drawn["strategy"].to_list()]
    places = range(len(CATEGORIES))
    range_of = {"color": [PALETTE[i] for i in places], "shape": [SHAPES[i] for i in places]}
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1)
    colour = alt.Color("category:N", scale=alt.Scale(domain=list(CATEGORIES), range=range_of["color"]), legend=legend)
    shape = alt.Shape("category:N", scale=alt.Scale(domain=list(CATEGORIES), range=range_of["shape"]), legend=legend)
    base = alt.Chart().encode(
        x=alt.X("third:O", sort=list(THIRDS), title="third of the search", axis=alt.Axis(labelAngle=0, grid=False)),
        y=alt.Y(
            "share:Q", title="share of trials", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=3)
        ),
        color=colour,
    )
    panel = alt.layer(
        base.mark_line(strokeWidth=1.6, aria=False),
        base.mark_point(size=38, filled=True, opacity=1).encode(shape=shape, description="words:N"),
        data=drawn,
    ).properties(width=panel_width(columns_for(len(names))), height=120)
    caption = (
        "Share of proposals that touch each part of the candidate, in the first, second and last third of the search; "
        "a proposal may touch several. Knobs belong to a category each; changes of a script are assigned by the words "
        "in the changed lines, which is a heuristic. "
        f"n = {count(trials, 'trial')} after the baseline."
    )
    return Figure(
        "categories",
        "Categories of the proposed changes over time",
        caption,
        faceted(panel, "strategy", names),
        {"categories": shares},
    )


def category_shares(study: ReportStudy) -> tuple[pl.DataFrame, int]:
    """(share of a strategy's trials that touch a category, by third of the search; how many trials they are of).

    Searches shorter than three trials have no thirds; categories that were never touched are left out.
    """
    rows = study["behaviour"].drop_nulls("kind").select("strategy", "trajectory", "iteration", "categories")
    last = rows.group_by("strategy", "trajectory").agg(last=pl.col("iteration").max())
    rows = rows.join(last, on=["strategy", "trajectory"]).filter(pl.col("last") >= len(THIRDS))
    third = ((pl.col("iteration") - 1) * len(THIRDS) // pl.col("last")).clip(0, len(THIRDS) - 1)
    rows = rows.with_columns(third=third.replace_strict(dict(enumerate(THIRDS)), return_dtype=pl.String))
    total = rows.group_by("strategy", "third").agg(trials=pl.len().cast(pl.Int64))
    touched = (
        rows.explode("categories")
        .drop_nulls("categories")
        .group_by("strategy", "third", category="categories")
        .agg(touching=pl.len().cast(pl.Int64))
    )
    kinds = [name for name in CATEGORIES if name in touched["category"].to_list()]
    shares = (
        total.join(pl.DataFrame({"category": kinds}, schema={"category": pl.String}), how="cross")
        .join(touched, on=["strategy", "third", "category"], how="left")
        .with_columns(pl.col("touching").fill_null(0))
        .with_columns(share=pl.col("touching") / pl.col("trials"))
    )
    order = {name: place for place, name in enumerate([*THIRDS, *CATEGORIES])}
    third, category = (pl.col(key).replace_strict(order, return_dtype=pl.Int64) for key in ("third", "category"))
    return shares.sort(study.place(), third, category), len(rows)


def figure_complexity(study: ReportStudy) -> Figure | None:
    """Size of the incumbent's model and length of its script along the search."""
    own = study["behaviour"].select("strategy", "trajectory", "parameter_count", "script_lines", incumbent="iteration")
    paths = study["incumbents"].select("strategy", "trajectory", "iteration", "incumbent")
    paths = paths.join(own, on=["strategy", "trajectory", "incumbent"], how="inner")
    medians = (
        paths.group_by("strategy", "iteration")
        .agg(pl.col("parameter_count", "script_lines").median(), searches=pl.len().cast(pl.Int64))
        .sort("strategy", "iteration")
    )
    if not len(medians) or int(medians["iteration"].max()) == 0:
        return None
    scale = scale_of(study)
    panels = []
    for column, title, log in (
        ("parameter_count", "parameters of the incumbent", True),
        ("script_lines", "lines of its script", False),
    ):
        known = medians.drop_nulls(column).filter(pl.col(column) > 0)
        if not len(known):
            continue
        chart = alt.Chart(described(known, lambda row, column=column: f"{row['strategy']}: {row[column]:,.0f}"))
        low, high = float(known[column].min()), float(known[column].max())
        y = alt.Y(
            f"{column}:Q",
            title=title,
            scale=alt.Scale(type="log", domain=[low * 0.9, high * 1.1], nice=False)
            if log
            else alt.Scale(domain=[low - 2, high + 2], zero=False),
            axis=alt.Axis(format="~s", values=log_ticks(low * 0.9, high * 1.1, 5)) if log else alt.Axis(tickCount=5),
        )
        x = alt.X("iteration:Q", title="trials after the baseline", axis=trial_axis(int(known["iteration"].max())))
        line = chart.mark_line(interpolate="step-after", strokeWidth=2, aria=False)
        ends = chart.transform_joinaggregate(last="max(iteration)", groupby=["strategy"]).transform_filter(
            "datum.iteration == datum.last"
        )
        panels.append(
            alt.layer(
                line.encode(x=x, y=y, color=scale["color"], strokeDash=scale["dash"]),
                ends.mark_point(size=50, filled=True, opacity=1).encode(
                    x=x, y=y, color=scale["color"], shape=scale["shape"], description="words:N"
                ),
            ).properties(width=panel_width(2, 80), height=200)
        )
    caption = (
        "Median over the searches of a strategy: how large the incumbent's model is (left) and how "
        "long its training script (right) after each trial; lines coincide where no script was changed. "
        f"n = {count(paths.select('strategy', 'trajectory').n_unique(), 'search', 'searches')}."
    )
    return Figure(
        "complexity",
        "Complexity over time",
        caption,
        beside(panels, color="shared", shape="shared", strokeDash="shared"),
        {"complexity": medians},
    )
