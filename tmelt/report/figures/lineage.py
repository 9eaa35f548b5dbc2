"""How trials built on each other: the tree of a search, from the parents that its proposals name."""

import altair as alt
import polars as pl

from tmelt.report.figures.theme import (
    FAINT,
    MANY,
    Figure,
    columns_for,
    faceted,
    linked,
    own_colour,
    panel_width,
    pointing,
    trial_axis,
)
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, listing, trial_name

_CROSS = "M-1,-1L1,1M-1,1L1,-1"
_KEY = ["strategy", "trajectory"]
LINKS = 400  # trials beyond which single ones carry no link


def lineage(trials: pl.DataFrame) -> pl.DataFrame:
    """One row per trial of the searches whose proposals name a parent.

    Args:
        trials: the table `trials`.

    Returns:
        The key of a trial, its `status`, `parent`, `generation` (changes away from the baseline), `kept` (it became the
        incumbent), `ancestor` (the last incumbent, or one that it builds on) and `from_incumbent` (its parent was the
        incumbent before it; null for the baseline).
    """
    rows = []
    for _, search in trials.sort(*_KEY, "iteration").group_by(_KEY, maintain_order=True):
        if not len(search.filter(pl.col("iteration") > 0).drop_nulls("parent")) or (search["fidelity"] < 1).any():
            continue  # a promotion changes nothing
        tried = {row["iteration"]: row for row in search.iter_rows(named=True)}
        generations: dict[int, int] = {}
        for number, row in tried.items():
            parent = row["parent"] if number else None
            generations[number] = generations.get(parent, 0) + 1 if number else 0
            before = tried[number - 1]["incumbent"] if number - 1 in tried else None
            rows.append(
                {
                    **{name: row[name] for name in (*_KEY, "iteration", "status")},
                    "parent": parent,
                    "generation": generations[number],
                    "kept": row["incumbent"] == number,
                    "ancestor": False,
                    "from_incumbent": None if parent is None else parent == (before or 0),
                }
            )
        own = {row["iteration"]: row for row in rows[-len(tried) :]}
        step = tried[max(tried)]["incumbent"]
        while step is not None:
            own[step]["ancestor"] = True
            step = own[step]["parent"]
    columns = {name: trials.schema[name] for name in (*_KEY, "iteration", "status", "parent")}
    flags = dict.fromkeys(("kept", "ancestor", "from_incumbent"), pl.Boolean)
    return pl.DataFrame(rows, schema={**columns, "generation": pl.Int64, **flags})


def figure_lineage(study: ReportStudy) -> Figure | None:
    """The tree of one search per strategy: which trial each proposal builds on."""
    rows = lineage(study["trials"])
    best = study.best
    shown = rows.filter(
        pl.struct("strategy", "trajectory").map_elements(
            lambda key: key["trajectory"] == (best[key["strategy"]]["trajectory"] if key["strategy"] in best else 0),
            return_dtype=pl.Boolean,
        )
    )
    names = [name for name in study.strategies if name in shown["strategy"].to_list()]
    if not names:
        return None
    tried = len(shown)
    if tried > MANY:
        built_on = shown.select(*_KEY, pl.col("parent").alias("iteration")).unique()
        shown = pl.concat(
            [shown.filter(pl.col("kept")), shown.join(built_on, on=[*_KEY, "iteration"], how="semi")]
        ).unique(maintain_order=True)
        shown = shown.sort(*_KEY, "iteration")
    drawn = linked(shown).with_columns(
        words=pl.Series([_said(row) for row in shown.iter_rows(named=True)], dtype=pl.String)
    )
    parents = drawn.select(*_KEY, pl.col("iteration").alias("parent"), pl.col("generation").alias("above"))
    edges = drawn.drop_nulls("parent").join(parents, on=[*_KEY, "parent"], how="left", maintain_order="left")
    last = edges.group_by(*_KEY, "parent", "above", maintain_order=True).agg(
        pl.col("iteration").max(), pl.col("iteration").filter("ancestor").max().alias("to_ancestor")
    )
    marks = pl.col("status") != "ok"
    data = pl.concat(
        [
            last.select("strategy", layer=pl.lit("along"), x="parent", x2="iteration", y="above", y2="above"),
            edges.select("strategy", layer=pl.lit("down"), x="iteration", x2="iteration", y="above", y2="generation"),
            last.drop_nulls("to_ancestor").select(
                "strategy", layer=pl.lit("way"), x="parent", x2="to_ancestor", y="above", y2="above"
            ),
            edges.filter("ancestor").select(
                "strategy", layer=pl.lit("way"), x="iteration", x2="iteration", y="above", y2="generation"
            ),
            drawn.select(
                "strategy",
                "link",
                "words",
                layer=pl.when(marks)
                .then(pl.lit("failed"))
                .when("kept")
                .then(pl.lit("kept"))
                .otherwise(pl.lit("trial")),
                x="iteration",
                y="generation",
            ),
        ],
        how="diagonal_relaxed",
    )
    chart = _panels(study, data, names, len(drawn), int(drawn["iteration"].max()), int(drawn["generation"].max()))
    searches = drawn.select(*_KEY).unique().sort(*_KEY)
    which = listing([f"{row['strategy']} {row['trajectory']}" for row in searches.to_dicts()])
    left_out = "" if tried <= MANY else f", of which {len(drawn):,} that others build on or that were kept are drawn"
    caption = (
        "Which trial each proposal builds on, in the search of each strategy whose winner is shown in detail "
        f"({which}). Each step down is one more change away from the baseline. A grey line leads from a trial to those "
        "that build on it, the coloured one to the incumbent at the end. Filled: became the incumbent; ×: failed. "
        f"n = {count(tried, 'trial')}{left_out}. Samplers build on no single trial. Lines at one height may overlap; "
        "the data name every parent."
    )
    return Figure("lineage", "What each trial builds on", caption, chart, {"lineage": rows})


def _panels(
    study: ReportStudy, data: pl.DataFrame, names: list[str], marks: int, last: int, deepest: int
) -> alt.TopLevelMixin:
    columns = min(2, columns_for(len(names)))
    colour = own_colour(study)
    x = alt.X("x:Q", title="trial", axis=trial_axis(last))
    ticks = list(range(0, deepest + 1, max(1, -(-deepest // 5))))
    y = alt.Y(
        "y:Q",
        title="changes from baseline",
        scale=alt.Scale(domain=[-0.5, deepest + 0.5], reverse=True, nice=False),
        axis=alt.Axis(values=ticks, format="d", grid=False),
    )

    def layer(name: str) -> alt.Chart:
        return alt.Chart().transform_filter(f"datum.layer == '{name}'")

    def lines(name: str, **mark) -> alt.Chart:
        return layer(name).mark_rule(aria=False, **mark).encode(x=x, y=y, x2="x2:Q", y2="y2:Q")

    def points(name: str, **mark) -> alt.Chart:
        drawn = layer(name).mark_point(aria=marks <= LINKS, **mark).encode(x=x, y=y, color=colour)
        return drawn.encode(**pointing(marks)) if marks <= LINKS else drawn

    layers = [
        lines("along", color=FAINT, strokeWidth=0.8),
        lines("down", color=FAINT, strokeWidth=0.8),
        lines("way", strokeWidth=2).encode(color=colour),
        points("trial", size=14, strokeWidth=1.1, opacity=0.8),
        points("failed", shape=_CROSS, size=14, strokeWidth=1.3, opacity=0.9),
        points("kept", size=38, filled=True, opacity=1),
    ]
    height = max(110, min(200, 16 * deepest))
    panel = alt.layer(*layers, data=data).properties(width=panel_width(columns), height=height)
    return (
        faceted(panel, "strategy", names)
        if columns > 1
        else panel.facet(facet=alt.Facet("strategy:N", title=None, sort=names), columns=1, spacing=16)
    )


def _said(row: dict) -> str:
    text = trial_name(row)
    if row["parent"] is not None:
        text += f": builds on trial {row['parent']}, {count(row['generation'], 'change')} from the baseline"
    return text + ("" if row["status"] == "ok" else f"; {row['status']}")
