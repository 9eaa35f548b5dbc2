"""What became of the searches' own scores on fresh seeds, strategy by strategy."""

import altair as alt
import polars as pl

from tmelt.report.figures.theme import FAINT, INK, PHONE, Figure, beside, described, panel_width, scale_of, styled
from tmelt.report.inputs import Study
from tmelt.report.words import count, number, search_name

_PANELS = {
    "optimism": "optimism (°C): confirmed minus search validation MAE",
    "overtuning": "overtuning (°C): test MAE given up on the way",
}


def figure_optimism(study: Study, width: int) -> Figure | None:
    """Optimism and overtuning of each search, and their means over the searches of a strategy."""
    rows = study["winners"].select("strategy", "trajectory", *_PANELS)
    names = [name for name in study.strategies if name in rows["strategy"].to_list()]
    if not rows["optimism"].drop_nulls().len():
        return None
    scale = scale_of(study)
    panels = []
    for place, (column, title) in enumerate(_PANELS.items()):
        own = rows.drop_nulls(column).select("strategy", "trajectory", value=column)
        own = described(own, lambda row: f"{search_name(row)}: {number(row['value'])} °C")
        means = own.group_by("strategy", maintain_order=True).agg(pl.col("value").mean())
        y = alt.Y(
            "strategy:N",
            sort=names,
            title=None,
            scale=alt.Scale(domain=names),
            axis=alt.Axis(grid=True, labelColor=INK, labels=place == 0 or width < PHONE),
        )
        ends = [min(0.0, own["value"].min() or 0.0), max(0.1, own["value"].max() or 0.0)]
        x = alt.X(
            "value:Q", title=title, scale=alt.Scale(domain=ends, nice=True), axis=alt.Axis(grid=False, tickCount=5)
        )
        colour = alt.Color("strategy:N", scale=scale["color"]["scale"], legend=None)
        zero = alt.Chart(pl.DataFrame({"value": [0.0]})).mark_rule(color=FAINT, aria=False).encode(x=x)
        ticks = alt.Chart(own).mark_tick(thickness=1.6, size=13, opacity=0.8)
        dots = alt.Chart(means).mark_point(size=70, filled=True, opacity=1, aria=False)
        layers = [zero, ticks.encode(x=x, y=y, color=colour, description="words:N")]
        layers.append(dots.encode(x=x, y=y, color=colour))
        panels.append(
            alt.layer(*layers).properties(
                width=width - 130 if width < PHONE else panel_width(width, 2, 110), height=alt.Step(22)
            )
        )
    caption = (
        "Ticks: single searches; dots: their mean. Optimism: by how much the search's own validation MAE of its winner "
        "was too low, seen on fresh seeds. Overtuning: how much lower the test MAE of an earlier incumbent of the same "
        "search was than the winner's (0: the search did not go astray); a diagnosis by the search's own runs, never "
        f"used to pick anything. n = {count(len(rows.drop_nulls('optimism')), 'winner')}."
    )
    return Figure(
        "optimism", "Optimism of the search scores", caption, styled(beside(panels, width), width),
        {"optimism": rows},
    )  # fmt: skip
