"""The searches as they went: the incumbent's error against trials, seconds and dollars."""

from typing import Any

import altair as alt
import polars as pl

from tmelt.evidence.incumbents import equivalents
from tmelt.report.figures.theme import (
    FAINT,
    MANY,
    MUTED,
    Figure,
    beside,
    columns_for,
    described,
    faceted,
    linked,
    own_colour,
    panel_width,
    scale_of,
    trial_axis,
)
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, trial_name

AXES = {
    "trials": ("trials", "trials after the baseline"),
    "fit_s": ("training time", "training time (s)"),
    "device_s": ("GPU time", "GPU time (s)"),
    "total_usd": ("dollars", "cost (USD)"),
}
_SPLITS = {"val": "validation", "test": "test, at the validation incumbent"}
_CROSS = "M-1,-1L1,1M-1,1L1,-1"


def axes_of(study: ReportStudy) -> list[str]:
    """The axes along which there are curves."""
    found = study.bands["axis"].unique().to_list()
    return [axis for axis in AXES if axis in found]


def figure_incumbents(study: ReportStudy, axis: str = "trials") -> Figure | None:
    """Median over searches of the incumbent's validation and test MAE along one axis."""
    bands = study.bands.filter(pl.col("axis") == axis)
    if not len(bands):
        return None
    lines = reference_lines(study)
    spread = int(bands["trajectories"].max()) > 1
    curves = pl.concat([bands["lower"], bands["upper"]]) if spread else bands["median"]
    low, high = _domain(curves, lines["mae"], room=0.4)
    lines = lines.filter(pl.col("mae").is_between(low, high))
    name, title = AXES[axis]
    title = _trials_title(study) if axis == "trials" else title
    x = alt.X("x:Q", title=title, axis=_axis(axis, bands["x"]))
    y = alt.Y("median:Q", title=study.axis("MAE"), scale=alt.Scale(domain=[low, high], zero=False))
    scale = scale_of(study)
    bands = described(bands, lambda row: f"{row['strategy']}: {study.amount(row['median'])}")
    panels = []
    for split, label in _SPLITS.items():
        own = alt.Chart(bands.filter(pl.col("split") == split))
        layers = [_references(lines.filter(pl.col("split") == split)), *_median_and_end(own, x, y, scale)]
        if spread:
            area = own.mark_area(interpolate="step-after", opacity=0.08, clip=True, aria=False)
            lower = alt.Y("lower:Q", title=study.axis("MAE"), scale=alt.Scale(domain=[low, high], zero=False))
            layers.insert(0, area.encode(x=x, y=lower, y2="upper:Q", color=scale["color"]))
        panels.append(alt.layer(*layers).properties(width=panel_width(2), height=240, title=label))
    searches = study["trials"].select("strategy", "trajectory").n_unique()
    caption = (
        f"Mean absolute error of the incumbent against {name}: median over the searches of a strategy"
        + ("; shaded: quartiles (with fewer than 4 searches their range)" if spread else "")
        + ". The test error "
        "is shown at the validation incumbent, by which alone the searches select; a lowest test error is never "
        f"picked. The mark at a curve's end is the strategy's own. n = {count(searches, 'search', 'searches')} of "
        f"{count(len(study.strategies), 'strategy', 'strategies')}."
    )
    return Figure(
        f"incumbents_{axis}",
        f"Incumbent error against {name}",
        caption,
        beside(panels, color="shared", shape="shared", strokeDash="shared"),
        {f"incumbents_{axis}": bands.drop("words")},
    )


def _median_and_end(own: alt.Chart, x: alt.X, y: alt.Y, scale: dict[str, Any]) -> tuple[alt.Chart, alt.Chart]:
    """A strategy's curve, and its mark at the end."""
    line = own.mark_line(interpolate="step-after", strokeWidth=2.2, clip=True, aria=False).encode(
        x=x, y=y, color=scale["color"], strokeDash=scale["dash"]
    )
    end = own.transform_joinaggregate(last="max(x)", groupby=["strategy"]).transform_filter("datum.x == datum.last")
    mark = end.mark_point(size=55, filled=True, opacity=1).encode(
        x=x, y=y, color=scale["color"], shape=scale["shape"], description="words:N"
    )
    return line, mark


def figure_trials(study: ReportStudy) -> Figure | None:
    """Every trial of every search, and the path and spread of the incumbents, one panel per strategy."""
    points = trial_points(study)
    bands = study["bands"].filter((pl.col("axis") == "trials") & (pl.col("split") == "val"))
    scored = points.filter(pl.col("status") == "ok").drop_nulls("val_mae")
    ok, cheap = scored.filter(pl.col("decision") != "partial"), scored.filter(pl.col("decision") == "partial")
    if not len(ok):
        return None
    curve = pl.concat([bands["lower"], bands["upper"]])
    low, high = _domain(curve, ok["val_mae"].sort().head(max(1, int(0.85 * len(ok)))))
    edge = high - 0.02 * (high - low)
    above, failed = ok.filter(pl.col("val_mae") > high), points.filter(pl.col("status") != "ok")
    shown = pl.concat(
        [
            ok.filter(pl.col("val_mae") <= high).with_columns(
                layer=pl.when("kept").then(pl.lit("kept")).otherwise(pl.lit("trial"))
            ),
            above.with_columns(layer=pl.lit("above"), val_mae=pl.lit(edge)),
            cheap.filter(pl.col("val_mae").is_between(low, high)).with_columns(layer=pl.lit("cheap")),
            failed.with_columns(layer=pl.lit("failed"), val_mae=pl.lit(edge)),
            bands.select("strategy", "x", "median", "lower", "upper", layer=pl.lit("band")),
        ],
        how="diagonal",
    )
    linked_ones = len(points) <= MANY
    columns = columns_for(len(study.strategies))
    colour = own_colour(study)
    x = alt.X("x:Q", title=_trials_title(study), axis=_axis("trials", points["x"]))
    scale = alt.Scale(domain=[low, high], zero=False)
    y = alt.Y("val_mae:Q", title=study.axis("validation MAE"), scale=scale, axis=alt.Axis(tickCount=5))

    def points_of(layer: str, **mark) -> alt.Chart:
        drawn = alt.Chart().transform_filter(f"datum.layer == '{layer}'").mark_point(aria=linked_ones, **mark)
        drawn = drawn.encode(x=x, y=y, color=colour)
        return drawn.encode(href="link:N", description="label:N") if linked_ones else drawn

    band = alt.Chart().transform_filter("datum.layer == 'band'")
    layers = [
        band.mark_area(interpolate="step-after", opacity=0.14, clip=True, aria=False).encode(
            x=x, y=alt.Y("lower:Q", scale=scale), y2="upper:Q", color=colour
        ),
        band.mark_line(interpolate="step-after", strokeWidth=2, clip=True, aria=False).encode(
            x=x, y=alt.Y("median:Q", scale=scale), color=colour
        ),
        points_of("cheap", shape="diamond", size=8, strokeWidth=0.8, opacity=0.45),
        points_of("trial", size=18, strokeWidth=1.2, opacity=0.6),
        points_of("kept", size=42, filled=True, opacity=1),
        points_of("above", shape="triangle-up", size=26, strokeWidth=1.2, opacity=0.8),
        points_of("failed", shape=_CROSS, size=14, strokeWidth=1.3, opacity=0.9),
    ]
    panel = alt.layer(*layers, data=shown).properties(width=panel_width(columns), height=170)
    chart = faceted(panel, "strategy", study.strategies)
    caption = (
        "One point per trial: its validation MAE, filled where it became the incumbent"
        + (f"; × along the top: {count(len(failed), 'failed trial')}" if len(failed) else "")
        + (f"; △: {len(above)} beyond the axis" if len(above) else "")
        + (f"; small ◇: {count(len(cheap), 'cheap trial')}, as far as inside the axis" if len(cheap) else "")
        + ". Line: median of the incumbents over searches; band: quartiles (with fewer than 4 searches their range). "
        + (
            "Point at a trial to see what it tried; click it for its diff, transcript and curves. "
            if linked_ones
            else ""
        )
        + f"n = {count(len(points), 'trial')} of "
        f"{count(points.select('strategy', 'trajectory').n_unique(), 'search', 'searches')}."
    )
    return Figure("trials", "Every trial", caption, chart, {"trials": points.drop("link", "label")})


def _trials_title(study: ReportStudy) -> str:
    """The title of the axis of trials."""
    return "full trials after the baseline" if study.has_cheap else AXES["trials"][1]


def trial_points(study: ReportStudy) -> pl.DataFrame:
    """One row per trial: what became of it, a link to its section and a label."""
    frame = study["trials"].sort("iteration").with_columns(equivalents().over("strategy", "trajectory"))
    frame = frame.sort("strategy", "trajectory", "iteration").select(
        "strategy",
        "trajectory",
        "iteration",
        "status",
        "decision",
        "val_mae",
        kept=pl.col("incumbent") == pl.col("iteration"),
        x=pl.col("equivalents"),
    )
    words = [
        f"{trial_name(row)}: "
        + (f"{study.amount(row['val_mae'])}, {row['decision']}" if row["val_mae"] is not None else row["status"])
        for row in frame.iter_rows(named=True)
    ]
    return linked(frame.with_columns(kept=pl.col("kept").fill_null(False), label=pl.Series(words, dtype=pl.String)))


def reference_lines(study: ReportStudy) -> pl.DataFrame:
    """Lines to compare with: the best reference predictor by validation, the data generator, external test results."""
    floors = study["floors"]
    fair = floors.filter(pl.col("kind") == "predictor").drop_nulls("val_mae").sort("val_mae").head(1)
    bound = floors.filter(pl.col("name") == "best_reachable")
    rows = [
        {"split": split, "label": row["label"], "mae": row[f"{split}_mae"]}
        for part in (fair, bound)
        for row in part.iter_rows(named=True)
        for split in ("val", "test")
        if row[f"{split}_mae"] is not None
    ]
    rows += [{"split": "test", "label": row["name"], "mae": float(row["mae"])} for row in study.references]
    return pl.DataFrame(rows, schema={"split": pl.String, "label": pl.String, "mae": pl.Float64})


def _axis(axis: str, places: pl.Series) -> alt.Axis:
    if axis == "trials":
        return trial_axis(int(places.max()))
    if axis == "total_usd":
        return alt.Axis(grid=False, tickCount=5, labelExpr="'$' + datum.value")
    # Thousands of seconds as k; parts of a second not as m, which people read as minutes.
    return alt.Axis(grid=False, tickCount=5, **({"format": "~s"} if places.max() >= 1000 else {}))


def _domain(curves: pl.Series, others: pl.Series, room: float = 0.75) -> tuple[float, float]:
    """Around the curves, and around the others as far as they do not flatten the curves."""
    known = curves.drop_nulls()
    if not len(known):
        known = others.drop_nulls()
    lowest, highest = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    room *= max(highest - lowest, 1.0)
    near = others.drop_nulls()
    near = near.filter((near >= lowest - room) & (near <= highest + room))
    if len(near):
        lowest, highest = min(lowest, float(near.min())), max(highest, float(near.max()))
    margin = 0.07 * max(highest - lowest, 0.5)
    return round(lowest - margin, 2), round(highest + margin, 2)


def _references(lines: pl.DataFrame) -> alt.LayerChart:
    chart = alt.Chart(lines)
    rule = chart.mark_rule(strokeDash=[1, 3], color=FAINT, strokeWidth=1.4, aria=False).encode(y="mae:Q")
    text = chart.mark_text(
        align="right", baseline="bottom", dx=-2, dy=-3, fontSize=11, limit=200, color=MUTED, aria=False
    )
    return rule + text.encode(y="mae:Q", x=alt.value("width"), text="label:N")
