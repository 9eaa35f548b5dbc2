"""The winners on fresh seeds: their error beside what anybody can reach, and where they err."""

import math
from collections.abc import Iterable

import altair as alt
import polars as pl

from tmelt.evidence.comparison import BASELINE
from tmelt.evidence.metrics import ORGANISM_MIN
from tmelt.report.figures.theme import (
    FAINT,
    GRID,
    MUTED,
    Figure,
    columns_for,
    described,
    faceted,
    in_rows,
    names_axis,
    own_colour,
    panel_width,
    scale_of,
)
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import capital, count, counts, interval, number, search_name
from tmelt.study.target import Target

DENSE = 400  # proteins per panel beyond which they are counted in squares
BINS = 55  # about so many of such squares span the plausible values
EXTERNAL = "external"  # kind of a result from the config's `references`
_DIMENSIONS = {
    "organism": "by {group}",
    "tm_band": "by measured {symbol}",
    "length_band": "by length",
    "distance_band": "by identity to the nearest training protein",
}


def figure_ranking(study: ReportStudy) -> Figure | None:
    """Confirmed test MAE of each strategy, the baseline, reference predictors and external results, on one axis."""
    rows = ranking_rows(study)
    shown = rows.drop_nulls("mae")
    if not len(shown):
        return None
    order = shown["label"].to_list()
    winners = study["winners"].drop_nulls("test_mae").select("strategy", "trajectory", mae="test_mae")
    winners = winners.with_columns(label=pl.col("strategy")).filter(pl.col("label").is_in(order))
    winners = described(winners, lambda row: f"{search_name(row)}: {study.amount(row['mae'])}")
    values = pl.concat([shown["mae"], shown["low"], shown["high"], winners["mae"]]).drop_nulls()
    x_scale = alt.Scale(domain=[max(0.0, float(values.min()) - 0.3), float(values.max()) + 0.3], nice=True, zero=False)
    y = names_axis("label", order)
    x = alt.X("mae:Q", title=study.axis("test MAE"), scale=x_scale, axis=alt.Axis(grid=False, tickCount=7))
    colour = alt.Color("colour:N", scale=None)
    shape = alt.Shape("shape:N", scale=None)
    filled = shown.with_columns(
        colour=pl.col("strategy").replace_strict(_colours(study), default=MUTED),
        shape=pl.col("kind").replace_strict(
            {"predictor": "square", "oracle": "diamond", "bound": "diamond", EXTERNAL: "cross"}, default="circle"
        ),
    )
    base = alt.Chart(filled)
    bars = base.mark_rule(strokeWidth=2.4, aria=False).encode(
        y=y, x=alt.X("low:Q", scale=x_scale), x2="high:Q", color=colour
    )
    means = base.mark_point(size=75, filled=True, opacity=1).encode(
        y=y, x=x, color=colour, shape=shape, description="words:N"
    )
    layers = [bars, means]
    if len(winners) > len(shown.filter(pl.col("kind") == "strategy")):
        singles = alt.Chart(winners).mark_tick(thickness=1.6, size=13, opacity=0.75)
        layers.insert(1, singles.encode(y=y, x=x, color=own_colour(study), description="words:N"))
    chart = in_rows(alt.layer(*layers), order)
    proteins = test_proteins(study)
    seeds = study["winners"].filter(pl.col("confirmed_seeds") > 0)["confirmed_seeds"]
    caption = (
        "Dots: mean over searches of the winners' test MAE on fresh seeds; ticks: single searches; bars: 95 % "
        "interval over protein families, training seeds and searches. Squares: reference predictors from the sequence "
        "alone; diamonds: oracles, which are told what no candidate knows"
        + ("; crosses: external results on other data or splits" if study.references else "")
        + ". Strategies are listed by kind, not by rank. n = "
        f"{count(proteins, 'test protein')}, {count(len(winners), 'confirmed search', 'confirmed searches')}, "
        f"{counts(seeds, 'fresh seed')} each."
    )
    return Figure(
        "ranking",
        "Test error of the winners and of reference predictors",
        caption,
        chart,
        {"ranking": rows.drop("words"), "ranking_searches": winners.drop("words", "label")},
    )


def ranking_rows(study: ReportStudy) -> pl.DataFrame:
    """One row per strategy, the baseline and each reference predictor: label, kind, test MAE with interval."""
    by_name = {row["strategy"]: row for row in study["strategies"].to_dicts()}
    rows = [
        {
            "label": name,
            "kind": "strategy",
            "strategy": name,
            "mae": by_name[name]["test_mae"],
            "low": by_name[name]["test_low"],
            "high": by_name[name]["test_high"],
        }
        for name in study.strategies
        if name in by_name
    ]
    held = study.baseline
    rows.append(
        {
            "label": "baseline (trial 0)",
            "kind": BASELINE,
            "strategy": BASELINE,
            "mae": held["test_mae"],
            "low": held["low"],
            "high": held["high"],
        }
    )
    rows += [
        {
            "label": row["label"],
            "kind": row["kind"],
            "strategy": row["name"],
            "mae": row["test_mae"],
            "low": row["low"],
            "high": row["high"],
        }
        for row in study["floors"].to_dicts()
    ]
    rows += [
        {
            "label": f"{row['name']} (external)",
            "kind": EXTERNAL,
            "strategy": row["name"],
            "mae": float(row["mae"]),
            "low": None,
            "high": None,
        }
        for row in study.references
    ]
    for row in rows:
        span = interval(row["low"], row["high"])
        row["words"] = f"{row['label']}: {study.amount(row['mae'])}" + (f" ({span})" if span else "")
    kinds = {
        "label": pl.String,
        "kind": pl.String,
        "strategy": pl.String,
        "mae": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "words": pl.String,
    }
    return pl.DataFrame(rows, schema=kinds)


def test_proteins(study: ReportStudy) -> int:
    """Proteins of test for which winners were measured; as the data set counts them if none was."""
    found = study["winner_predictions"].filter(pl.col("split") == "test")["protein_id"].n_unique()
    return found or study.splits.get("test", 0)


def figure_predicted(study: ReportStudy) -> Figure | None:
    """Predicted against measured values on test: the baseline and each strategy's winner."""
    shown = shown_predictions(study)
    if len(shown) < 2:  # the baseline alone tells nothing about winners
        return None
    heads = {
        name: f"{name}: MAE {study.amount((frame['prediction'] - frame['tm']).abs().mean())}" for name, frame in shown
    }
    points = pl.concat(
        [
            frame.select("tm", "prediction", panel=pl.lit(heads[name]), strategy=pl.lit(name), kind=pl.lit("mark"))
            for name, frame in shown
        ]
    )
    proteins = len(shown[0][1])
    ends = [min(points["tm"].min(), points["prediction"].min()), max(points["tm"].max(), points["prediction"].max())]
    scale = alt.Scale(domain=[ends[0] - 1, ends[1] + 1], nice=False, zero=False)
    x = alt.X("tm:Q", title=study.axis(f"measured {study.target.symbol}"), scale=scale, axis=alt.Axis(tickCount=4))
    y = alt.Y(
        "prediction:Q", title=study.axis(f"predicted {study.target.symbol}"), scale=scale, axis=alt.Axis(tickCount=4)
    )
    colour = alt.Color(
        "strategy:N",
        scale=alt.Scale(domain=[BASELINE, *study.strategies], range=[MUTED, *_colours(study).values()]),
        legend=None,
    )
    marks = alt.Chart().transform_filter("datum.kind == 'mark'")
    if proteins > DENSE:
        side = square_side(study.target)
        drawn, how = _counted(points, side), f"darker squares of {study.target.amount(f'{side:g}')} hold more proteins"
        opacity = alt.Opacity("proteins:Q", scale=alt.Scale(type="sqrt", range=[0.12, 1]), legend=None)
        layer = marks.mark_rect(aria=False).encode(
            x=x, x2="tm_end:Q", y=y, y2="prediction_end:Q", color=colour, opacity=opacity
        )
    else:
        drawn, how = points, "one dot per protein"
        layer = marks.mark_circle(size=13 if proteins > 150 else 20, opacity=0.55, aria=False).encode(
            x=x, y=y, color=colour
        )
    line = (
        alt.Chart()
        .transform_filter("datum.kind == 'line'")
        .mark_line(color=FAINT, strokeWidth=1, strokeDash=[3, 3], aria=False)
        .encode(x=x, y=y)
    )
    side = min(170, panel_width(columns_for(len(shown)), 50))
    panel = alt.layer(line, layer, data=pl.concat([drawn, _diagonals(heads.values(), ends)], how="diagonal"))
    chart = faceted(panel.properties(width=side, height=side), "panel", list(heads.values()))
    caption = (
        f"Mean prediction over fresh seeds against measurement, {how}; dashed: perfect. Of each strategy the winner "
        "with the lowest error on select; MAE of the mean prediction. n = "
        f"{count(proteins, 'test protein')} per panel."
    )
    columns = ("trajectory", "protein_id", "organism", "tm", "prediction", "prediction_sd")
    behind = pl.concat([frame.select(pl.lit(name).alias("strategy"), *columns) for name, frame in shown])
    return Figure("predicted", "Predicted against measured", caption, chart, {"predicted": behind})


def _diagonals(panels: Iterable[str], ends: list[float]) -> pl.DataFrame:
    """Where prediction and measurement agree, in each panel."""
    lines = [
        pl.DataFrame({"panel": [panel] * 2, "tm": ends, "prediction": ends, "strategy": BASELINE, "kind": "line"})
        for panel in panels
    ]
    return pl.concat(lines)


def shown_predictions(study: ReportStudy) -> list[tuple[str, pl.DataFrame]]:
    """(name, test predictions) of the baseline and of each strategy's winner that is shown in detail."""
    test = study["winner_predictions"].filter(pl.col("split") == "test")
    found = [(BASELINE, test.filter(pl.col("role") == BASELINE))]
    for strategy in study.strategies:
        if strategy in study.best:
            key = (pl.col("strategy") == strategy) & (pl.col("trajectory") == study.best[strategy]["trajectory"])
            found.append((strategy, test.filter(key & (pl.col("role") == "winner"))))
    return [(name, frame) for name, frame in found if len(frame)]


def square_side(target: Target) -> float:
    """Side of the squares in which proteins are counted, in the target's unit: 1, 2 or 5 times a power of ten."""
    wanted = (target.plausible[1] - target.plausible[0]) / BINS
    steps = [mantissa * 10.0**exponent for exponent in range(-3, 3) for mantissa in (1, 2, 5)]
    return min(steps, key=lambda step: abs(math.log(step / wanted)))


def _counted(points: pl.DataFrame, side: float) -> pl.DataFrame:
    """Proteins per square."""
    floor = {name: (pl.col(name) / side).floor() * side for name in ("tm", "prediction")}
    counted = points.with_columns(**floor).group_by(
        "panel", "strategy", "kind", "tm", "prediction", maintain_order=True
    )
    ends = {f"{name}_end": pl.col(name) + side for name in ("tm", "prediction")}
    return counted.agg(proteins=pl.len()).with_columns(**ends, proteins=pl.col("proteins").cast(pl.Int64))


def figure_within(study: ReportStudy) -> Figure | None:
    """Rank correlation between predicted and measured values inside each organism."""
    frame, name = group_means(study, "organism", "spearman"), study.group.name
    plural = capital(study.group.plural)
    if not len(frame):
        return None
    return _groups(
        study,
        frame,
        "within",
        f"Rank correlation within {study.group.plural}",
        f"Spearman ρ within the {study.group.name}",
        f"Rank correlation of predicted and measured {study.target.symbol} among the proteins of one {name}; 0 means "
        f"that a model knows the {name} and nothing more. {plural} with fewer than 8 test proteins are left out. "
        "Mean over the winners of a strategy.",
        zero=True,
    )


def figure_errors(study: ReportStudy) -> Figure | None:
    """Test MAE by organism, band of the target, length and distance to training."""
    frames = {name: group_means(study, name, "mae") for name in _DIMENSIONS}
    small = sum(frame.filter(pl.col("proteins") < ORGANISM_MIN)["group"].n_unique() for frame in frames.values())
    frames = {name: frame.filter(pl.col("proteins") >= ORGANISM_MIN) for name, frame in frames.items()}
    frames = {name: frame for name, frame in frames.items() if frame["group"].n_unique() > 1}
    if not frames:
        return None
    charts = [
        _group_chart(
            study,
            frame,
            study.axis("MAE"),
            _DIMENSIONS[name].format(symbol=study.target.symbol, group=study.group.name),
            zero=False,
            last=place == len(frames) - 1,
        )
        for place, (name, frame) in enumerate(frames.items())
    ]
    chart = alt.vconcat(*charts).resolve_scale(x="shared", color="shared", shape="shared")
    plural = capital(study.group.plural)
    caption = (
        "Test MAE of the winners' mean predictions in groups of proteins (number of proteins in brackets); mean over "
        "the winners of a strategy; bars: 95 % interval of the baseline over protein families. "
        f"{plural} of fewer than {ORGANISM_MIN} proteins are pooled; other groups of fewer are left out ({small})."
    )
    joined = pl.concat([frame.with_columns(dimension=pl.lit(name)) for name, frame in frames.items()])
    return Figure("errors_by_group", "Error by group of proteins", caption, chart, {"errors_by_group": joined})


def group_means(study: ReportStudy, dimension: str, column: str) -> pl.DataFrame:
    """Mean over a strategy's winners of one column of `subgroups`; the baseline as it is."""
    own = study["subgroups"].filter((pl.col("dimension") == dimension) & (pl.col("role") != "floor"))
    own = own.with_columns(strategy=pl.col("strategy").fill_null(BASELINE)).drop_nulls(column)
    means = own.group_by("strategy", "group", "order", "proteins").agg(
        value=pl.col(column).mean(), low=pl.col("low").first(), high=pl.col("high").first(), winners=pl.len()
    )
    return means.with_columns(pl.col("winners").cast(pl.Int64)).sort("order", "group", study.place())


def _groups(
    study: ReportStudy, frame: pl.DataFrame, name: str, title: str, axis: str, caption: str, *, zero: bool
) -> Figure:
    chart = _group_chart(study, frame, axis, "", zero=zero, last=True)
    return Figure(
        name,
        title,
        caption + f" n = {count(frame['group'].n_unique(), study.group.name, study.group.plural)}.",
        chart,
        {name: frame.drop("low", "high")},
    )


def _group_chart(
    study: ReportStudy, frame: pl.DataFrame, axis: str, title: str, *, zero: bool, last: bool
) -> alt.TopLevelMixin:
    """One row per group, one mark per strategy."""
    frame = described(frame, lambda row: f"{row['strategy']} · {row['group']}: {number(row['value'])}")
    frame = frame.with_columns(label=pl.format("{} ({})", "group", "proteins"))
    order = frame["label"].unique(maintain_order=True).to_list()
    names = [BASELINE, *study.strategies]
    scale = scale_of(study)
    colour = alt.Color(
        "strategy:N",
        scale=alt.Scale(domain=names, range=[MUTED, *scale["color"]["scale"]["range"]]),
        legend=scale["color"]["legend"],
    )
    shape = alt.Shape(
        "strategy:N",
        scale=alt.Scale(domain=names, range=["stroke", *scale["shape"]["scale"]["range"]]),
        legend=scale["color"]["legend"],
    )
    y = names_axis("label", order)
    x = alt.X(
        "value:Q",
        title=axis if last else None,
        scale=alt.Scale(zero=False, nice=True),
        axis=alt.Axis(grid=False, tickCount=7),
    )
    base = alt.Chart(frame)
    layers = [
        base.mark_point(size=46, strokeWidth=1.9, opacity=0.95).encode(
            x=x, y=y, color=colour, shape=shape, description="words:N"
        )
    ]
    if zero:
        layers.insert(
            0, alt.Chart(pl.DataFrame({"value": [0.0]})).mark_rule(color=FAINT, aria=False).encode(x="value:Q")
        )
    else:
        bars = base.transform_filter(f"datum.strategy == '{BASELINE}'").mark_rule(color=GRID, strokeWidth=7, aria=False)
        layers.insert(0, bars.encode(x=alt.X("low:Q", scale=alt.Scale(zero=False)), x2="high:Q", y=y))
    return in_rows(alt.layer(*layers), order).properties(title=title)


def _colours(study: ReportStudy) -> dict[str, str]:
    scale = scale_of(study)["color"]["scale"]
    return dict(zip(scale["domain"], scale["range"], strict=True))
