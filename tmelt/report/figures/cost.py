"""Cost against error: the incumbent's error against dollars, at the listed prices and at others."""

import altair as alt
import polars as pl

from tmelt.evidence.cost import RECORDED
from tmelt.report.figures.theme import INK, Figure, log_ticks, panel_width, scale_of, span_of
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, dollars

_DEVICES = 3  # prices of the device that are drawn
_LEVELS = 3  # token prices that are drawn, the recorded one among them


def cost_curves(study: ReportStudy) -> tuple[pl.DataFrame, list[float], list[str]]:
    """The curves that are drawn, their device prices in ascending order, and their token prices."""
    curves = study["cost_curves"].filter(pl.col("usd") > 0).drop_nulls("median_val_mae")
    prices = curves["compute_usd_per_h"].unique().sort().to_list()
    middle = len(prices) // 2
    devices = prices if len(prices) <= _DEVICES else [prices[0], prices[middle], prices[-1]]
    spent = curves.group_by("token_price").agg(pl.col("usd").max()).sort("usd", "token_price")
    others = [level for level in spent["token_price"] if level != RECORDED]
    recorded = [RECORDED] if RECORDED in spent["token_price"].to_list() else []
    room = _LEVELS - len(recorded)
    levels = recorded + (others if len(others) <= room else [others[0], others[-1]][:room])
    shown = curves.filter(pl.col("compute_usd_per_h").is_in(devices) & pl.col("token_price").is_in(levels))
    return shown, devices, levels


def figure_cost(study: ReportStudy) -> Figure | None:
    """Median incumbent validation MAE against dollars, under a range of prices of device and tokens."""
    shown, devices, levels = cost_curves(study)
    if not len(shown):
        return None
    heads = {price: f"device {dollars(price)}/h" for price in devices}
    names = {level: token_name(level) for level in levels}
    shown = shown.with_columns(
        device=pl.col("compute_usd_per_h").replace_strict(heads, return_dtype=pl.String),
        tokens=pl.col("token_price").replace_strict(names, return_dtype=pl.String),
    )
    kept = shown["compute_usd_per_h"].unique().sort().to_list()
    scale = scale_of(study)
    x = _money_axis(shown["usd"], 3 if len(kept) > 1 else 4)
    y = alt.Y(
        "median_val_mae:Q",
        title=study.axis("validation MAE"),
        scale=alt.Scale(domain=span_of(shown["median_val_mae"]), nice=True, zero=False),
        axis=alt.Axis(tickCount=4),
    )
    line = (
        alt.Chart()
        .transform_filter("datum.layer == 'curve'")
        .mark_line(interpolate="step-after", strokeWidth=2, aria=False)
        .encode(
            x=x,
            y=y,
            color=scale["color"],
            strokeDash=alt.StrokeDash("strategy:N", scale=scale["dash"]["scale"], legend=scale["color"]["legend"]),
        )
    )
    mark = (
        alt.Chart()
        .transform_filter("datum.layer == 'lead'")
        .mark_point(shape="triangle-down", filled=True, size=55, color=INK, opacity=1, yOffset=-7)
        .encode(x=x, y=y, description="words:N")
    )
    changes = _lead_changes(shown, study["crossovers"])
    data = pl.concat([shown.with_columns(layer=pl.lit("curve")), changes], how="diagonal")
    column = alt.Column("device:N", title=None, sort=[heads[price] for price in kept])
    size = {"width": panel_width(len(kept), 80), "height": 130 if len(kept) > 1 else 160}
    rows = [
        alt.layer(line, mark, data=data.filter(pl.col("tokens") == name))
        .properties(**size)
        .facet(column=column, spacing=16, title=name)
        for name in names.values()
    ]
    caption = (
        "Median validation MAE of the incumbent against money spent per search: the same searches, priced anew. "
        "Across: prices of the training device; down: prices of the LLM's tokens. ▾: crossover of two strategies that "
        "a bootstrap over searches supports (at least 95 % of resamples, from 3 distinct searches each on). Prices are "
        "assumptions from the project's two price files, which may be edited. The validation error selects, so it is "
        f"too low; no interval is drawn. n = {count(study.trajectories, 'search', 'searches')} per strategy."
    )
    return Figure(
        "cost",
        "Cost against error",
        caption,
        alt.vconcat(*rows),
        {"cost": shown.drop("device", "tokens"), "crossovers": study["crossovers"]},
    )


def _money_axis(usd: pl.Series, most: int) -> alt.X:
    """Dollars in the logarithm, with about `most` labels; of those that would overlap some are left out."""
    low, high = float(usd.min()), float(usd.max())
    # Not at the very edge of a panel, where labels of neighbours would meet.
    ticks = log_ticks(1.5 * low, high / 1.5, most) or log_ticks(low, high, most)
    return alt.X(
        "usd:Q",
        title="spent (USD)",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(
            labelExpr="'$' + datum.value", values=ticks, grid=False, labelOverlap="greedy", labelSeparation=6
        ),
    )


def token_name(level: str) -> str:
    """A token price as people read it."""
    return "tokens as recorded" if level == RECORDED else f"tokens at the price of {level}"


def _lead_changes(shown: pl.DataFrame, crossovers: pl.DataFrame) -> pl.DataFrame:
    """The supported crossovers in each panel, at the new leader's error."""
    panels = shown.unique(["compute_usd_per_h", "token_price"], maintain_order=True)
    panels = panels.select("compute_usd_per_h", "token_price", "device", "tokens")
    found = crossovers.join(panels, on=["compute_usd_per_h", "token_price"], maintain_order="left")
    words = [f"from {dollars(row['usd'])} on {row['b']} is ahead of {row['a']}" for row in found.to_dicts()]
    return found.select(
        "device",
        "tokens",
        "usd",
        median_val_mae="val_mae",
        layer=pl.lit("lead"),
        words=pl.Series(words, dtype=pl.String),
    )
