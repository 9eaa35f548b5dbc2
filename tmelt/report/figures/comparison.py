"""Which strategy is better and at which price: pairs of strategies, and what the same money buys."""

import altair as alt
import polars as pl

from tmelt.report.figures.theme import FAINT, INK, MUTED, Figure, columns_for, panel_width, scale_of, styled
from tmelt.report.inputs import Study
from tmelt.report.words import count, interval, number

_LEVELS = 3  # token prices shown beside the recorded one


def figure_comparison(study: Study, width: int) -> Figure | None:
    """Differences in confirmed test MAE between strategies, and to the baseline, with 95 % intervals."""
    rows = study["comparison"].filter(pl.col("metric") == "test_mae").drop_nulls("difference")
    if not len(rows):
        return None
    rows = _ordered(study, rows)
    labels = [f"{row['a']} − {row['b']}" for row in rows.to_dicts()]
    words = [
        f"{row['a']} − {row['b']}: {number(row['difference'], signed=True)} °C"
        + (f" ({interval(row['low'], row['high'], signed=True)})" if row["low"] is not None else "")
        for row in rows.to_dicts()
    ]
    rows = rows.with_columns(label=pl.Series(labels), words=pl.Series(words))
    rows = rows.with_columns(
        colour=pl.when(pl.col("verdict").is_in(["a better", "b better"])).then(pl.lit(INK)).otherwise(pl.lit(MUTED))
    )
    base = alt.Chart(rows)
    y = alt.Y("label:N", sort=labels, title=None, axis=alt.Axis(grid=True, labelColor=INK))
    x = alt.X(
        "difference:Q", title="difference in test MAE (°C); left of 0: the first is better", axis=alt.Axis(grid=False)
    )
    zero = alt.Chart(pl.DataFrame({"difference": [0.0]})).mark_rule(color=FAINT, aria=False).encode(x=x)
    colour = alt.Color("colour:N", scale=None)
    bars = base.mark_rule(strokeWidth=2.2, aria=False).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour)
    dots = base.mark_point(size=60, filled=True, opacity=1).encode(x=x, y=y, color=colour, description="words:N")
    chart = alt.layer(zero, bars, dots).properties(width=width - (150 if width < 500 else 210), height=alt.Step(21))
    few = int(rows.filter(~pl.col("versus"))["n_a"].min() or rows["n_a"].min())
    decided = int(rows["verdict"].is_in(["a better", "b better"]).sum())
    caption = (
        "Difference of mean confirmed test MAE; bars: 95 % interval over searches and protein families, paired over "
        "proteins. "
        + (
            f"Dark: {decided} pairs that an exact permutation test over searches, corrected for all pairs (Holm), "
            "separates. "
            if few >= 5
            else "With fewer than 5 searches per strategy no test of significance is made: an interval that excludes 0 "
            "speaks about these searches. "
        )
        + f"n = {count(few, 'search', 'searches')} per strategy at least."
    )
    return Figure(
        "comparison",
        "Differences between strategies",
        caption,
        styled(chart, width),
        {"comparison": study["comparison"]},
    )


def _ordered(study: Study, rows: pl.DataFrame) -> pl.DataFrame:
    """Each pair as the later strategy minus the earlier one in the report's order; those with the baseline first."""
    place = {name: i for i, name in enumerate(["baseline", *study.strategies])}
    first, second = (pl.col(name).replace_strict(place, default=99) for name in ("a", "b"))
    turned = first < second
    swapped = {
        "a": pl.when(turned).then("b").otherwise("a"),
        "b": pl.when(turned).then("a").otherwise("b"),
        "difference": pl.when(turned).then(-pl.col("difference")).otherwise("difference"),
        "low": pl.when(turned).then(-pl.col("high")).otherwise("low"),
        "high": pl.when(turned).then(-pl.col("low")).otherwise("high"),
    }
    return rows.with_columns(**swapped, versus=pl.col("b") == "baseline").sort(second, first)


def figure_cost(study: Study, width: int) -> Figure | None:
    """Median incumbent validation MAE against dollars, at the recorded and at other token prices."""
    curves = study["cost_curves"].filter(pl.col("usd") > 0).drop_nulls("median_val_mae")
    if not len(curves):
        return None
    prices = curves["compute_usd_per_h"].unique().sort()
    price = prices[len(prices) // 2]
    own = curves.filter(pl.col("compute_usd_per_h") == price)
    spent = own.group_by("token_price").agg(pl.col("usd").max()).sort("usd")
    levels = [level for level in spent["token_price"] if level != "recorded"]
    step = max(1, (len(levels) - 1) // max(1, _LEVELS - 1))
    chosen = ["recorded", *levels[::step][:_LEVELS]]
    own = own.filter(pl.col("token_price").is_in(chosen))
    names = {
        level: "token prices as recorded" if level == "recorded" else f"tokens priced as {level}" for level in chosen
    }
    own = own.with_columns(panel=pl.col("token_price").replace_strict(names))
    order = [names[level] for level in chosen if level in own["token_price"].to_list()]
    columns = 1 if width < 500 else columns_for(len(order), width) if len(order) != 4 else 2
    scale = scale_of(study)
    chart = (
        alt.Chart(own)
        .mark_line(interpolate="step-after", strokeWidth=2, aria=False)
        .encode(
            x=alt.X(
                "usd:Q",
                title="spent per search (USD)",
                scale=alt.Scale(type="log", nice=False),
                axis=alt.Axis(labelExpr="'$' + datum.value", tickCount=4, grid=False),
            ),
            y=alt.Y("median_val_mae:Q", title="validation MAE (°C)", scale=alt.Scale(zero=False)),
            color=scale["color"],
            strokeDash=alt.StrokeDash("strategy:N", scale=scale["dash"]["scale"], legend=scale["color"]["legend"]),
        )
        .properties(width=panel_width(width, columns), height=170)
        .facet(facet=alt.Facet("panel:N", title=None, sort=order), columns=columns, spacing=16)
    )
    crossings = study["crossovers"].filter((pl.col("compute_usd_per_h") == price) & pl.col("token_price").is_in(chosen))
    caption = (
        "Median validation MAE of the incumbent against money spent, with an hour of the training device at "
        f"${price:g}; the same searches, their recorded tokens priced as each panel says. Prices are assumptions "
        f"listed in the project's price files. n = {count(study.trajectories, 'search', 'searches')} per strategy; "
        f"{count(len(crossings), 'crossover')} between pairs of strategies in these panels."
    )
    return Figure(
        "cost", "What the money buys", caption, styled(chart, width), {"cost": own, "crossovers": study["crossovers"]}
    )
