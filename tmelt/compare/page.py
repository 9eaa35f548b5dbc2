"""The page of a comparison over data sets, and its tables as files."""

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import polars as pl
from markupsafe import Markup

from tmelt.compare.reading import Finished, common_strategies, read_studies
from tmelt.compare.tables import PAIRS, SCORES, pair_table, score_table
from tmelt.evidence import tables
from tmelt.report.figures.theme import FAINT, INK, MUTED, NAMES, WIDTH, Figure, styled
from tmelt.report.render import inline, svg_of, write_files
from tmelt.report.templates import page_environment
from tmelt.report.words import interval, number
from tmelt.storage.files import write_text

_HERE = Path(__file__).parent
_STYLE = _HERE.parent / "report" / "style.css"


def compare_studies(folders: Sequence[Path], output: Path) -> str:
    """Write compare.html, pairs.parquet and scores.parquet to `output`; the finding in a few lines.

    Raises:
        InputError: studies that cannot be compared.
    """
    studies = read_studies(folders)
    names, cautions = common_strategies(studies)
    pairs = pair_table(studies, names)
    scores, friedman = score_table(studies, names)
    told = finding(studies, names, pairs, scores, friedman)
    drawn = _forest(pairs, studies)
    svg = svg_of(drawn)
    environment = page_environment(_HERE)
    page = environment.get_template("page.html.j2").render(
        style=Markup(_STYLE.read_text(encoding="utf-8").replace("</", "")),
        studies=studies,
        target=studies[0].target,
        cautions=[*_few(studies), *cautions],
        finding=told,
        figure=drawn,
        drawing=inline(svg, drawn),
        scores=[_score_row(row) for row in scores.to_dicts() if row["dataset"] is None],
        cells={(row["strategy"], row["dataset"]): number(row["test_mae"]) for row in scores.to_dicts()},
        pairs=[_pair_row(row) for row in pairs.to_dicts() if row["dataset"] is None],
    )
    tables.write(output / "pairs.parquet", pairs, PAIRS)
    tables.write(output / "scores.parquet", scores, SCORES)
    write_files(drawn, svg, output / "figures")
    write_text(output / "compare.html", page)
    return "\n".join([*told, f"written to {output / 'compare.html'}"])


def finding(
    studies: Sequence[Finished], names: Sequence[str], pairs: pl.DataFrame, scores: pl.DataFrame, friedman: float | None
) -> list[str]:
    """What the comparison says, in sentences."""
    totals = pairs.filter(pl.col("dataset").is_null())
    decided = totals.filter(pl.col("verdict").is_in(["a better", "b better"]))
    lines, amount = [], studies[0].target.amount
    for row in decided.to_dicts():
        better, worse = (row["a"], row["b"]) if row["verdict"] == "a better" else (row["b"], row["a"])
        lines.append(
            f"{better} has a lower test error than {worse}: {amount(number(abs(row['difference'])))} on average over "
            f"{len(studies)} data sets (adjusted p = {row['p_adjusted']:.3f})."
        )
    if not lines:
        lines.append(
            f"Over {len(studies)} data sets no difference between {len(names)} strategies is established; this does "
            "not say that they are equal."
        )
    best = scores.filter(pl.col("dataset").is_null()).sort("rank").row(0, named=True)
    tested = "" if friedman is None else f" (Friedman's test of equal ranks: p = {friedman:.3f})"
    lines.append(f"Lowest mean rank: {best['strategy']}, {number(best['rank'])} of {len(names)}{tested}.")
    return lines


def _few(studies: Sequence[Finished]) -> list[str]:
    if len(studies) >= 5:
        return []
    return [f"{len(studies)} data sets: intervals over data sets are wide, and only large differences can be found."]


def _score_row(row: dict) -> list[str]:
    reduction = number(row["reduction"])
    if row["low"] is not None:
        reduction += f" ({interval(row['low'], row['high'])})"
    return [row["strategy"], str(row["searches"]), number(row["rank"]), reduction]


def _pair_row(row: dict) -> list[str]:
    ends = interval(row["low"], row["high"], signed=True) if row["low"] is not None else "no interval"
    return [
        f"{row['a']} − {row['b']}",
        number(row["difference"], signed=True),
        ends,
        number(row["between_sd"]) if row["between_sd"] is not None else "–",
        f"{row['p_adjusted']:.3f}" if row["p_adjusted"] is not None else "–",
        {"a better": f"{row['a']} better", "b better": f"{row['b']} better"}.get(row["verdict"], "undecided")
        if row["verdict"]
        else "not tested",
    ]


def _forest(pairs: pl.DataFrame, studies: Sequence[Finished]) -> Figure:
    """Every pair's difference on each data set, and the mean over data sets with its interval."""
    rows = pairs.with_columns(label=pl.format("{} − {}", "a", "b"))
    order = rows["label"].unique(maintain_order=True).to_list()
    base = alt.Chart(rows.filter(pl.col("dataset").is_null()))
    y = alt.Y("label:N", sort=order, title=None)
    axis = studies[0].target.axis("difference in test error")
    x = alt.X("difference:Q", title=f"{axis}; left of 0: the first is better")
    bars = base.mark_rule(strokeWidth=2.2, color=INK).encode(x=alt.X("low:Q"), x2="high:Q", y=y)
    dots = base.mark_point(size=70, filled=True, opacity=1, color=INK).encode(x=x, y=y)
    single = alt.Chart(rows.filter(pl.col("dataset").is_not_null()))
    marks = single.mark_tick(thickness=2, size=12, color=MUTED).encode(x=x, y=y, description="dataset:N")
    zero = alt.Chart(pl.DataFrame({"difference": [0.0]})).mark_rule(color=FAINT).encode(x=x)
    chart = alt.layer(zero, marks, bars, dots).properties(width=WIDTH - NAMES, height=alt.Step(24))
    caption = (
        f"Bars: 95 % interval of the mean over {len(studies)} data sets (Student's t, equal weights). "
        "Ticks: the difference on each data set."
    )
    return Figure("pairs", "Differences between strategies over data sets", caption, styled(chart), {"pairs": pairs})
