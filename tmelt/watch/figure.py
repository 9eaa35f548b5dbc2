"""The incumbent of each search against its trials, in the report's own style."""

from collections.abc import Sequence
from itertools import accumulate

import altair as alt
import polars as pl
from markupsafe import Markup

from tmelt.front.feed import Search
from tmelt.report.figures.theme import Figure, scale_of_names
from tmelt.report.render import inline, svg_of
from tmelt.search.fidelity import exact
from tmelt.study.target import Target

_WIDTH, _HEIGHT = 440, 230  # on a phone it shrinks to about 360, with type of 9 pixels
_TITLE = "Validation error of the incumbent, search by search"


def incumbents(searches: Sequence[Search], target: Target) -> Markup | None:
    """Return the drawing; None before a trial has a score."""
    rows = [
        {"strategy": search.strategy, "search": search.name, "trial": float(place - 1), "mae": mae}
        for search in searches
        for place, row in zip(accumulate(exact(row["fidelity"]) for row in search.rows), search.rows, strict=True)
        if row["incumbent"] is not None and (mae := search.rows[row["incumbent"]]["val_mae"]) is not None
    ]
    if not rows:
        return None
    scale = scale_of_names(list(dict.fromkeys(search.strategy for search in searches)))
    base = alt.Chart(pl.DataFrame(rows)).encode(
        x=alt.X("trial:Q", title="trial", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("mae:Q", title=target.axis("validation MAE"), scale=alt.Scale(zero=False)),
        color=scale["color"],
        detail="search:N",
    )
    line = base.mark_line(interpolate="step-after", strokeWidth=2, aria=False).encode(strokeDash=scale["dash"])
    last = base.transform_joinaggregate(last="max(trial)", groupby=["search"])
    end = last.transform_filter("datum.trial == datum.last").mark_point(size=45, filled=True, opacity=1, aria=False)
    chart = alt.layer(line, end).properties(width=_WIDTH, height=_HEIGHT)
    figure = Figure("incumbents", _TITLE, "", chart, {})
    return inline(svg_of(figure), figure)
