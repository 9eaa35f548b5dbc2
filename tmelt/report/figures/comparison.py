"""Which strategy is better: pairs of strategies, and each against the baseline."""

import math

import altair as alt
import polars as pl

from tmelt.evidence.comparison import BASELINE
from tmelt.evidence.statistics import FEW
from tmelt.report.figures.theme import FAINT, INK, MUTED, PHONE, Figure, described, names_axis, styled
from tmelt.report.inputs import Study
from tmelt.report.words import count, interval, number

_DECIDED = ("a better", "b better")


def figure_comparison(study: Study, width: int) -> Figure | None:
    """Differences in confirmed test MAE between strategies, and to the baseline, with 95 % intervals."""
    rows = study["comparison"].filter(pl.col("metric") == "test_mae").drop_nulls("difference")
    if not len(rows):
        return None
    rows = _ordered(study, rows)
    rows = described(
        rows.with_columns(
            label=pl.format("{} − {}", "a", "b"),
            colour=pl.when(pl.col("verdict").is_in(_DECIDED)).then(pl.lit(INK)).otherwise(pl.lit(MUTED)),
        ),
        lambda row: (
            f"{row['label']}: {number(row['difference'], signed=True)} °C"
            + (f" ({interval(row['low'], row['high'], signed=True)})" if row["low"] is not None else "")
        ),
    )
    base = alt.Chart(rows)
    y = names_axis("label", rows["label"].to_list())
    x = alt.X(
        "difference:Q",
        title="difference in test MAE (°C); left of 0: the first is better",
        axis=alt.Axis(grid=False, tickCount=4 if width < PHONE else 8),
    )
    zero = alt.Chart(pl.DataFrame({"difference": [0.0]})).mark_rule(color=FAINT, aria=False).encode(x=x)
    colour = alt.Color("colour:N", scale=None)
    bars = base.mark_rule(strokeWidth=2.2, aria=False).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour)
    dots = base.mark_point(size=60, filled=True, opacity=1).encode(x=x, y=y, color=colour, description="words:N")
    chart = alt.layer(zero, bars, dots).properties(width=width - (150 if width < PHONE else 210), height=alt.Step(21))
    few = fewest_searches(rows)
    caption = (
        "Difference of mean confirmed test MAE; bars: 95 % interval over searches and protein families, paired over "
        f"proteins. {_told_significance(rows, few)} n = {count(few, 'search', 'searches')} per strategy at least."
    )
    return Figure(
        "comparison",
        "Differences between strategies",
        caption,
        styled(chart, width),
        {"comparison": study["comparison"]},
    )


def _told_significance(rows: pl.DataFrame, few: int) -> str:
    """What was tested, and why not everything."""
    if few >= FEW or rows["p_value"].drop_nulls().len():
        decided = int(rows["verdict"].is_in(_DECIDED).sum())
        left_out = f"; pairs with fewer than {FEW} searches of a strategy are not tested" if few < FEW else ""
        return (
            f"Dark: {count(decided, 'pair')} that an exact permutation test over searches, corrected for all pairs "
            f"(Holm), separates{left_out}."
        )
    most = int(max(rows["n_a"].max(), rows["n_b"].max()))
    whose = "per strategy" if few == most else "of some strategy"
    untested = f"With {count(few, 'search', 'searches')} {whose} no test of significance is made: "
    if most == 1:
        return f"{untested}one search each tells nothing about how searches vary, so the bars cover proteins only."
    return (
        f"{untested}an exact permutation test of {few} against {few} cannot fall below p = "
        f"{2 / math.comb(2 * few, few):.2g}, and an interval from so few that excludes 0 speaks about these searches."
    )


def fewest_searches(rows: pl.DataFrame) -> int:
    """Searches of the strategy that has the fewest; the baseline is one candidate and counts for none."""
    pairs = rows.filter(~pl.col("versus"))
    return int(min(pairs["n_a"].min(), pairs["n_b"].min()) if len(pairs) else rows["n_a"].min())


def _ordered(study: Study, rows: pl.DataFrame) -> pl.DataFrame:
    """Each pair as the later strategy minus the earlier one in the report's order; those with the baseline first."""
    first, second = study.place("a"), study.place("b")
    turned = first < second
    swapped = {
        "a": pl.when(turned).then("b").otherwise("a"),
        "b": pl.when(turned).then("a").otherwise("b"),
        "difference": pl.when(turned).then(-pl.col("difference")).otherwise("difference"),
        "low": pl.when(turned).then(-pl.col("high")).otherwise("low"),
        "high": pl.when(turned).then(-pl.col("low")).otherwise("high"),
    }
    return rows.with_columns(**swapped, versus=pl.col("b") == BASELINE).sort(second, first)
