"""Which strategy is better: pairs of strategies, and each against the baseline."""

import altair as alt
import polars as pl

from tmelt.evidence.comparison import BASELINE, REFERENCE
from tmelt.evidence.permutation import least_p
from tmelt.evidence.verdict import FEW
from tmelt.report.figures.theme import INK, MUTED, Figure, described, in_rows, names_axis, zero_line
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, interval

_DECIDED = ("a better", "b better")


def figure_comparison(study: ReportStudy) -> Figure | None:
    """Differences in confirmed test MAE between strategies, and to the baseline, with 95 % intervals."""
    rows = study["comparison"].filter((pl.col("metric") == "test_mae") & (pl.col("b") != REFERENCE))
    if not len(rows):
        return None
    rows = _ordered(study, rows)
    rows = described(
        rows.with_columns(
            label=pl.format("{} − {}", "a", "b"),
            colour=pl.when(pl.col("verdict").is_in(_DECIDED)).then(pl.lit(INK)).otherwise(pl.lit(MUTED)),
        ),
        lambda row: (
            f"{row['label']}: {study.amount(row['difference'], signed=True)}"
            + (f" ({interval(row['low'], row['high'], signed=True)})" if row["low"] is not None else "")
        ),
    )
    base = alt.Chart(rows)
    y = names_axis("label", rows["label"].to_list())
    x = alt.X(
        "difference:Q",
        title=f"{study.axis('difference in test MAE')}; left of 0: the first is better",
        axis=alt.Axis(grid=False, tickCount=5),
    )
    zero = zero_line("difference", x=x)
    colour = alt.Color("colour:N", scale=None)
    bars = base.mark_rule(strokeWidth=2.2, aria=False).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour)
    dots = base.mark_point(size=60, filled=True, opacity=1).encode(x=x, y=y, color=colour, description="words:N")
    chart = in_rows(alt.layer(zero, bars, dots), rows["label"].to_list())
    few = fewest_searches(rows)
    covered = ", ".join(dict.fromkeys(word for text in rows["covers"].drop_nulls() for word in text.split(", ")))
    bars = (
        f"bars: 95 % interval over {covered}, paired over proteins and training seeds"
        if covered
        else "no interval can be given: what varies cannot be seen in one run"
    )
    caption = (
        f"Difference of mean confirmed test MAE; {bars}. {_told_significance(rows, few)} n = "
        f"{count(few, 'distinct search', 'distinct searches')} per strategy at least."
    )
    return Figure("comparison", "Differences between strategies", caption, chart, {"comparison": study["comparison"]})


def _told_significance(rows: pl.DataFrame, few: int) -> str:
    """What was tested, and why not everything."""
    pairs = rows.filter(~pl.col("versus"))
    dark = f"Dark: {count(int(rows['verdict'].is_in(_DECIDED).sum()), 'difference')} established after adjustment for "
    dark += "every contrast that the page tests (Holm)."
    if pairs["p_value"].drop_nulls().len():
        left_out = f" Pairs with fewer than {FEW} distinct searches of a strategy are not tested." if few < FEW else ""
        return f"{dark}{left_out}"
    if not len(pairs):
        return dark
    reason = f"an exact permutation test of {few} against {few} cannot fall below p = {least_p(few, few):.2g}"
    if few == 1:
        reason = "one search each tells nothing about how searches vary; the bars say which winner is better"
    searches = count(few, "distinct search", "distinct searches")
    return f"{dark} Strategies are not tested against each other with {searches}: {reason}."


def fewest_searches(rows: pl.DataFrame) -> int:
    """Distinct searches of the strategy that has the fewest; the baseline is one candidate and counts for none."""
    pairs = rows.filter(~pl.col("versus"))
    return int(min(pairs["distinct_a"].min(), pairs["distinct_b"].min()) if len(pairs) else rows["distinct_a"].min())


def _ordered(study: ReportStudy, rows: pl.DataFrame) -> pl.DataFrame:
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
