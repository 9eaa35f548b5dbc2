"""How much of the searches' gains in validation did not carry over, strategy by strategy."""

import altair as alt
import polars as pl

from tmelt.report.figures.theme import INK, Figure, described, in_rows, own_colour, zero_line
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, interval, search_name


def figure_optimism(study: ReportStudy) -> Figure | None:
    """Optimism of each search with its interval, and the means over the searches of a strategy."""
    rows = study["winners"].select("strategy", "trajectory", "optimism", "optimism_low", "optimism_high")
    rows = rows.drop_nulls("optimism")
    if not len(rows):
        return None
    names = [name for name in study.strategies if name in rows["strategy"].to_list()]
    rows = described(
        rows,
        lambda row: (
            f"{search_name(row)}: {study.amount(row['optimism'], signed=True)} "
            f"({interval(row['optimism_low'], row['optimism_high'], signed=True) or 'no interval'})"
        ),
    )
    means = rows.group_by("strategy", maintain_order=True).agg(pl.col("optimism").mean())
    y = alt.Y(
        "strategy:N", sort=names, title=None, scale=alt.Scale(domain=names), axis=alt.Axis(grid=True, labelColor=INK)
    )
    x = alt.X("optimism:Q", title=study.axis("optimism of the search score"), axis=alt.Axis(grid=False, tickCount=5))
    colour = own_colour(study)
    zero = zero_line("optimism", x=x)
    bars = alt.Chart(rows).mark_rule(strokeWidth=1.2, opacity=0.5, aria=False)
    ticks = alt.Chart(rows).mark_tick(thickness=1.6, size=13, opacity=0.8)
    dots = alt.Chart(means).mark_point(size=70, filled=True, opacity=1, aria=False)
    layers = alt.layer(
        zero,
        bars.encode(x=alt.X("optimism_low:Q"), x2="optimism_high:Q", y=y, color=colour),
        ticks.encode(x=x, y=y, color=colour, description="words:N"),
        dots.encode(x=x, y=y, color=colour),
    )
    held = "select" if study.splits.get("select") else "test"
    caption = (
        "Ticks: single searches, lines: their 95 % intervals over protein families and training seeds; dots: means. "
        f"The gain from trial 0 to the last incumbent in validation, minus the same gain on {held} proteins, both "
        "by the search's own runs: 0 for a search that kept nothing, 0 on average where nothing was gained by chance, "
        f"positive where a gain did not carry over. n = {count(len(rows), 'search', 'searches')}."
    )
    return Figure(
        "optimism", "Optimism of the search scores", caption, in_rows(layers, names), {"optimism": rows.drop("words")}
    )
