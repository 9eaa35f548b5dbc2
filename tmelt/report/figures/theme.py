"""What all figures share: colours that the colour-blind tell apart, shapes, dashes, type, and the `Figure` itself.

Colours are those of Okabe and Ito (2008), darkened where they are too pale on white. On the page each of them is
replaced by a CSS variable of the same place in `COLOURS`, so that one drawing serves light and dark.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import polars as pl

from tmelt.report.inputs import ReportStudy
from tmelt.report.words import anchor

# Pixels. One drawing serves all screens: beside its caption on a wide one; on a phone it shrinks to about 360, where
# type of 12.5 pixels is still 9 pixels high.
WIDTH = 500
NAMES = 190  # the most that the names of rows may take
_LINE = 28  # letters of a row's name in one line
MANY = 1200  # marks beyond which single ones carry no link and no words: the page would grow too large

INK, MUTED, FAINT, GRID, PAPER = "#1c2127", "#5c6670", "#98a1a9", "#e3e6e9", "#fffffe"
PALETTE = ("#0072b2", "#d98200", "#009e73", "#cc4c02", "#b8568f", "#3fa0d8", "#7a6a53", "#6b6ecf")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "stroke")
DASHES = ([1, 0], [6, 2], [2, 2], [9, 2, 2, 2], [4, 4], [1, 2], [11, 3], [6, 2, 1, 2])
COLOURS = {
    "ink": INK,
    "muted": MUTED,
    "faint": FAINT,
    "grid": GRID,
    "paper": PAPER,
    **{f"c{place}": colour for place, colour in enumerate(PALETTE)},
}
GOOD, BAD = PALETTE[2], PALETTE[3]
# Of one set of widths, so that what was measured while drawing fits wherever it is shown.
FONT = "Arial, 'Liberation Sans', Helvetica, 'DejaVu Sans Condensed', sans-serif"


@dataclass(frozen=True)
class Figure:
    """A chart with what a reader needs beside it."""

    name: str  # of its files
    title: str
    caption: str  # what is seen, and n
    chart: alt.TopLevelMixin = field(repr=False)
    data: Mapping[str, pl.DataFrame] = field(repr=False)  # file name: what is drawn


def scale_of(study: ReportStudy) -> dict[str, Any]:
    """Colour, shape and dash encodings by strategy, the same in every figure of a study."""
    return scale_of_names(study.strategies)


def scale_of_names(names: Sequence[str]) -> dict[str, Any]:
    """The same for these strategies, in this order."""
    names = list(names)
    places = range(len(names))
    legend = alt.Legend(title=None, orient="top", symbolSize=70, symbolOpacity=1, symbolDash=[1, 0], labelLimit=160)
    return {
        "color": alt.Color(
            "strategy:N",
            scale=alt.Scale(domain=names, range=[PALETTE[i % len(PALETTE)] for i in places]),
            legend=legend,
        ),
        "shape": alt.Shape(
            "strategy:N",
            scale=alt.Scale(domain=names, range=[SHAPES[i % len(SHAPES)] for i in places]),
            legend=legend,
        ),
        "dash": alt.StrokeDash(
            "strategy:N",
            scale=alt.Scale(domain=names, range=[DASHES[i % len(DASHES)] for i in places]),
            legend=None,
        ),
    }


def own_colour(study: ReportStudy) -> alt.Color:
    """Colour by strategy without a legend, for marks that are named otherwise."""
    return alt.Color("strategy:N", scale=scale_of(study)["color"]["scale"], legend=None)


def zero_line(field: str, **axis: alt.X | alt.Y) -> alt.Chart:
    """A line at 0 of an axis, given as `x` or `y`."""
    return alt.Chart(pl.DataFrame({field: [0.0]})).mark_rule(color=FAINT, aria=False).encode(**axis)


def styled(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """The chart with the report's type, axes and legends."""
    chart.config = alt.Config(
        background=PAPER,
        font=FONT,
        padding={"left": 4, "right": 8, "top": 4, "bottom": 4},
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            domainColor=FAINT,
            gridColor=GRID,
            tickColor=FAINT,
            labelColor=MUTED,
            titleColor=INK,
            labelFontSize=12,
            titleFontSize=12.5,
            titleFontWeight="normal",
            titlePadding=7,
            labelLimit=NAMES,
            tickSize=4,
            labelOverlap="greedy",
        ),
        axisY=alt.AxisConfig(domain=False, ticks=False, labelPadding=6),
        header=alt.HeaderConfig(
            labelColor=INK, labelFontSize=12.5, labelFontWeight="normal", titleColor=INK, labelPadding=6, labelLimit=300
        ),
        legend=alt.LegendConfig(
            labelColor=INK,
            labelFontSize=12.5,
            titleColor=MUTED,
            titleFontSize=12,
            titleFontWeight="normal",
            symbolStrokeWidth=2,
            columns=4,
            offset=10,
            columnPadding=18,
        ),
        title=alt.TitleConfig(color=INK, fontSize=12.5, fontWeight="normal", anchor="start", frame="group", offset=8),
    )
    return chart


def pointing(marks: int) -> dict[str, str]:
    """Encodings that make each of a chart's marks tell its words and lead to its trial, unless there are too many."""
    return {"href": "link:N", "description": "words:N"} if marks <= MANY else {}


def linked(frame: pl.DataFrame) -> pl.DataFrame:
    """With a column `link` to the trial's section of the page."""
    links = [f"#{anchor(*row)}" for row in frame.select("strategy", "trajectory", "iteration").iter_rows()]
    return frame.with_columns(link=pl.Series(links, dtype=pl.String))


def described(frame: pl.DataFrame, say: Callable[[dict[str, Any]], str]) -> pl.DataFrame:
    """With a column `words`: what a mark tells who points at it."""
    return frame.with_columns(words=pl.Series([say(row) for row in frame.iter_rows(named=True)], dtype=pl.String))


def names_axis(field: str, order: list[str], *, grid: bool = True, **more: Any) -> alt.Y:
    """An axis of names from above in this order; a name of more than `_LINE` letters goes on in a second line."""
    broken = rf"replace(datum.label, /^(?=.{{{_LINE + 1},}})(.{{1,{_LINE}}}) (.*)$/, '$1|$2')"
    axis = alt.Axis(grid=grid, labelColor=INK, labelLimit=NAMES, labelExpr=f"split({broken}, '|')", labelLineHeight=13)
    return alt.Y(f"{field}:N", sort=order, title=None, axis=axis, **more)


def in_rows(chart: alt.LayerChart | alt.Chart, names: list[str], step: int = 21) -> alt.LayerChart | alt.Chart:
    """A chart with one row per name of `names_axis`: as wide as the names leave room for, `step` pixels a row."""
    longest = max(map(len, names))
    return chart.properties(
        width=WIDTH - 30 - min(NAMES, 7 * longest), height=alt.Step(max(step, 29) if longest > _LINE else step)
    )


def panel_width(columns: int, left: int = 58) -> int:
    """Width of each of `columns` panels beside one another, axes included."""
    return max(90, int((WIDTH - left) / columns - 18))


def columns_for(panels: int) -> int:
    """Panels side by side, so that the last row is not left nearly empty."""
    return 2 if panels == 4 else min(3, panels)


def faceted(panel: alt.TopLevelMixin, field: str, names: list[str]) -> alt.TopLevelMixin:
    """One panel per name; each has an axis of its own where the last row is not full, so that no column lacks one."""
    columns = columns_for(len(names))
    chart = panel.facet(facet=alt.Facet(f"{field}:N", title=None, sort=names), columns=columns, spacing=16)
    full = len(names) % columns == 0
    return chart if full else chart.resolve_axis(x="independent")


def span_of(values: pl.Series, least: float = 0.1) -> list[float]:
    """The ends of an axis around these values, `least` wide at least.

    Where all values are one, an axis without ends of its own has a single tick, labelled by a whole number: 7 for 6.54.
    """
    low, high = float(values.min()), float(values.max())
    room = max(0.05 * (high - low), (least - (high - low)) / 2)
    return [low - room, high + room]


def trial_axis(last: int) -> alt.Axis:
    """An axis of trials whose ticks are whole numbers, each once."""
    step = next(
        step for step in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000) if last <= 6 * step or step == 1000
    )
    return alt.Axis(grid=False, format="d", values=list(range(0, last + 1, step)))


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most about `most` round numbers between two positive ones, for a logarithmic axis.

    One in the middle where they are too close for any, and none where they are equal.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    if low >= high:
        return []
    for digits in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= most + 1:
            return inside or [float(f"{math.sqrt(low * high):.1e}")]
    return inside[:: -(-len(inside) // most)]


def beside(charts: list[alt.Chart], **resolve: Any) -> alt.TopLevelMixin:
    """Charts beside one another."""
    joined = alt.hconcat(*charts)
    return joined.resolve_scale(**resolve) if resolve else joined
