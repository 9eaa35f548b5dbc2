"""Where the gain came from: knobs or script, which changes, which knobs."""

from typing import Any

import altair as alt
import polars as pl

from tmelt.evidence.attribution import FRESH
from tmelt.report.figures.theme import (
    FAINT,
    MUTED,
    PALETTE,
    Figure,
    columns_for,
    described,
    faceted,
    in_rows,
    linked,
    names_axis,
    panel_width,
    trial_axis,
    zero_line,
)
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, interval, pair_text, search_name, shortened, tidied, trial_name

# Colour and shape of a kind of change by its label.
KINDS = {
    "in space (knobs)": (PALETTE[0], "circle"),
    "out of space (script)": (PALETTE[3], "diamond"),
    "mixed, not split": (FAINT, "square"),
    "spelling only": (MUTED, "cross"),
}
EVIDENCE = {"confirmed": PALETTE[2], "suggestive": PALETTE[0], "none": MUTED, "harmful": PALETTE[3], "not run": FAINT}
_KIND_OF = dict(zip(("in_space", "out_of_space", "mixed", "none"), KINDS, strict=True))
_TOP = 15
_NAME = 40  # letters of a change in the name of a row
# What a trial changes: knobs only, constants of the script that are no knob, its structure, nothing in effect.
TRIED = {"knobs": PALETTE[0], "other constants": PALETTE[1], "structure": PALETTE[3], "nothing": MUTED}
THIRDS = ("first", "second", "last")
# What a gain is split into, in this order from the baseline.
SPLIT = {
    "in space (knobs)": PALETTE[0],
    "undiscovered hyperparameters": PALETTE[1],
    "structural changes": PALETTE[3],
    "out of space, not divided": PALETTE[4],
    "not split": FAINT,
}
_VALUE, _PAIR = "Shapley value", "interaction of a pair"
_SOLID, _PALE = 1.0, 0.4  # opacity of what fresh seeds say, and of what only the search's own scores do


def figure_attribution(study: ReportStudy) -> Figure | None:
    """Each search's gain in validation MAE, split into knobs, undiscovered hyperparameters and structural changes."""
    rows = study["attribution"].drop_nulls("gain")
    if not len(rows):
        return None
    each = len(rows) <= 24
    parts = split_gains(rows)
    rerun = int((rows["source"] == FRESH).sum())
    if each:
        parts = parts.sort(study.place(), "trajectory", maintain_order=True)
        parts = parts.with_columns(label=pl.format("{}, search {}", "strategy", "trajectory"))
        labels = parts["label"].unique(maintain_order=True).to_list()
    else:
        searches = dict(rows.group_by("strategy").len().iter_rows())
        parts = parts.group_by("strategy", "kind", "source", maintain_order=True).agg(gain=pl.col("gain").sum())
        parts = parts.with_columns(
            label=pl.col("strategy"), gain=pl.col("gain") / pl.col("strategy").replace_strict(searches)
        )
        labels = [name for name in study.strategies if name in parts["label"].to_list()]
    long = parts.filter(pl.col("gain") != 0)
    if not len(long):
        return None
    long = long.with_columns(
        solid=pl.when(pl.col("source") == FRESH).then(_SOLID).otherwise(_PALE),
        place=pl.col("kind").replace_strict({kind: place for place, kind in enumerate(SPLIT)}),
    )
    shown = {kind: tint for kind, tint in SPLIT.items() if kind in long["kind"].to_list()}
    bars = (
        alt.Chart(
            described(long, lambda row: f"{row['label']} · {row['kind']}: {study.amount(row['gain'])}, {row['source']}")
        )
        .mark_bar(height=12)
        .encode(
            y=names_axis("label", labels, grid=False),
            x=alt.X("gain:Q", title=study.axis("gain in validation MAE over the baseline"), axis=alt.Axis(tickCount=4)),
            color=_colour("kind", shown),
            opacity=alt.Opacity("solid:Q", scale=None, legend=None),
            order=alt.Order("place:Q"),
            description="words:N",
        )
    )
    caption = (
        "How much of each winner's gain in validation MAE came from knob values of the reference candidate (in "
        "space, also where a script puts a value in their place) and how much from rewriting its script (out of "
        "space): from undiscovered hyperparameters, which are constants that are no knob, and from structural changes. "
        "Out of space, not divided: both, and they were not trained apart. Not split: changes of script and knobs "
        "together of which no part was trained alone. "
        f"{_by_source(rerun, len(rows), 'search', 'searches')} "
        + (
            f"n = {count(len(labels), 'search', 'searches')}."
            if each
            else f"Mean over the searches of {len(labels)} strategies."
        )
    )
    return Figure(
        "attribution",
        "Knobs or script: where the gain came from",
        caption,
        in_rows(bars, labels, 19),
        {"attribution": study["attribution"]},
    )


def split_gains(rows: pl.DataFrame) -> pl.DataFrame:
    """The parts of each search's gain: strategy, trajectory, source, kind (of SPLIT), gain (positive: better).

    Args:
        rows: of the table `attribution`.
    """
    divided = pl.col("hyperparameters", "structure").fill_null(0.0)
    inside, constants, structure, undivided, unknown = SPLIT
    parts = rows.with_columns(divided).select(
        "strategy",
        "trajectory",
        "source",
        pl.col("in_space").alias(inside),
        pl.col("hyperparameters").alias(constants),
        pl.col("structure").alias(structure),
        (pl.col("out_of_space") - pl.col("hyperparameters") - pl.col("structure")).alias(undivided),
        pl.col("unknown").alias(unknown),
    )
    long = parts.unpivot(
        on=list(SPLIT), index=["strategy", "trajectory", "source"], variable_name="kind", value_name="gain"
    )
    return long.with_columns(gain=pl.when(pl.col("gain").abs() < 1e-9).then(0.0).otherwise(-pl.col("gain")))


def _by_source(rerun: int, everything: int, noun: str, plural: str | None = None) -> str:
    """What the scores behind a figure are."""
    own = "the search's own scores, which chose the winner and are optimistic"
    if rerun == everything:
        return "All by training again on fresh seeds."
    if not rerun:
        return f"By {own}: nothing that tells more was trained again (evidence.purposes)."
    return f"{rerun:,} of {count(everything, noun, plural)} by training again on fresh seeds; pale: by {own}."


def figure_kinds(study: ReportStudy) -> Figure | None:
    """What kind of change the trials try, in and out of the search space, in thirds of the search."""
    shares, trials = kind_shares(study)
    if not len(shares):
        return None
    drawn = described(
        shares,
        lambda row: (
            f"{row['strategy']}, {row['third']} third: {row['changed']} of {row['trials']} trials change {row['kind']}"
        ),
    )
    names = [name for name in study.strategies if name in drawn["strategy"].to_list()]
    panel = (
        alt.Chart(drawn)
        .mark_bar()
        .encode(
            x=alt.X("third:O", sort=list(THIRDS), title="third of the search", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", title="share of trials", axis=alt.Axis(format="%", tickCount=3), stack="zero"),
            color=_colour("kind", TRIED),
            description="words:N",
        )
        .properties(width=panel_width(columns_for(len(names))), height=110)
    )
    caption = (
        "All trials after the baseline, kept or not, by what they change of the trial they started from. Values that "
        "a script puts in place of a knob count as knobs. Other constants: undiscovered hyperparameters, a change of "
        "constants or of constant arguments alone; structure: any other change of the script. Changes of both script "
        f"and knobs count by the script. n = {count(trials, 'trial')}."
    )
    return Figure(
        "kinds",
        "In and out of the search space, over time",
        caption,
        faceted(panel, "strategy", names),
        {"kinds": shares},
    )


def kind_shares(study: ReportStudy) -> tuple[pl.DataFrame, int]:
    """(share of a strategy's trials by what they change, by third of the search; how many trials they are of)."""
    rows = study["behaviour"].drop_nulls("kind").select("strategy", "trajectory", "iteration", "kind", "outside")
    last = rows.group_by("strategy", "trajectory").agg(last=pl.col("iteration").max())
    rows = rows.join(last, on=["strategy", "trajectory"]).filter(pl.col("last") >= len(THIRDS))
    third = ((pl.col("iteration") - 1) * len(THIRDS) // pl.col("last")).clip(0, len(THIRDS) - 1)
    knobs, constants, structure, nothing = TRIED
    tried = (
        pl.when(pl.col("outside") == "structure")
        .then(pl.lit(structure))
        .when(pl.col("outside") == "hyperparameters")
        .then(pl.lit(constants))
        .when(pl.col("kind") == "none")
        .then(pl.lit(nothing))
        .otherwise(pl.lit(knobs))
    )
    rows = rows.with_columns(
        kind=tried, third=third.replace_strict(dict(enumerate(THIRDS)), return_dtype=pl.String), place=third
    )
    shares = (
        rows.group_by("strategy", "place", "third", "kind")
        .agg(changed=pl.len().cast(pl.Int64))
        .with_columns(trials=pl.col("changed").sum().over("strategy", "third"))
        .with_columns(share=pl.col("changed") / pl.col("trials"))
        .sort(study.place(), "place", "kind")
    )
    return shares.drop("place"), len(rows)


def figure_changes(study: ReportStudy) -> Figure | None:
    """Kept changes on the winners' paths: when they came, and how much they gained."""
    rows = study["changes"].drop_nulls("effect")
    if not len(rows):
        return None
    rows = rows.select("strategy", "trajectory", "iteration", "effect", "effect_se", "source", "kind")
    drawn = described(
        linked(rows),
        lambda row: (
            f"{trial_name(row)}: {study.amount(row['effect'], signed=True)}, {row['kind'].replace('_', ' ')}, "
            f"{row['source']}"
        ),
    )
    drawn = drawn.with_columns(
        solid=pl.when(pl.col("source") == FRESH).then(_SOLID).otherwise(_PALE),
        kind=pl.col("kind").replace_strict(_KIND_OF),
        low=pl.col("effect") - pl.col("effect_se"),
        high=pl.col("effect") + pl.col("effect_se"),
    )
    names = [name for name in study.strategies if name in drawn["strategy"].to_list()]
    rerun = int((drawn["source"] == FRESH).sum())
    columns = columns_for(len(names))
    last = int(study["trials"]["iteration"].max())
    x = alt.X("iteration:Q", title="trial", scale=alt.Scale(domain=[0, last]), axis=trial_axis(last))
    y = alt.Y("effect:Q", title=study.axis("change"), axis=alt.Axis(tickCount=4))
    shown = {kind: look for kind, look in KINDS.items() if kind != _KIND_OF["none"] or kind in drawn["kind"].to_list()}
    colour = _colour("kind", {kind: tint for kind, (tint, _) in shown.items()})
    shape = alt.Shape(
        "kind:N",
        scale=alt.Scale(domain=list(shown), range=[form for _, form in shown.values()]),
        legend=colour["legend"],
    )
    solid = alt.Opacity("solid:Q", scale=None, legend=None)
    bars = (
        alt.Chart()
        .mark_rule(strokeWidth=1.2, aria=False)
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=colour, opacity=solid)
    )
    dots = (
        alt.Chart()
        .mark_point(size=42, filled=True)
        .encode(x=x, y=y, color=colour, shape=shape, opacity=solid, href="link:N", description="words:N")
    )
    panel = alt.layer(bars, dots, data=drawn).properties(width=panel_width(columns), height=130)
    chart = faceted(panel, "strategy", names)
    caption = (
        "Changes on the path from the baseline to the winner: change of validation MAE, the trial's minus that of "
        "the incumbent they replaced; bars: one standard error, over proteins and seeds for fresh seeds, from the "
        f"seed noise for the search's own scores. {_by_source(rerun, len(drawn), 'change')} "
        f"n = {count(len(drawn), 'change')}."
    )
    return Figure(
        "changes", "Gains along the searches", caption, chart, {"changes": drawn.drop("words", "link", "solid")}
    )


def _effects(
    study: ReportStudy, rows: pl.DataFrame, labels: list[str], colour: alt.Color, shape: alt.Shape
) -> alt.LayerChart:
    """Effects on test MAE with their 95 % intervals, one row per label."""
    y = names_axis("label", labels)
    x = alt.X(
        "effect:Q",
        title=f"{study.axis('effect on test MAE')}; below 0: it helps",
        axis=alt.Axis(grid=False, tickCount=5),
    )
    base = alt.Chart(rows)
    zero = zero_line("effect", x=x)
    bars = base.mark_rule(strokeWidth=2.2, aria=False).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour)
    dots = base.mark_point(size=55, filled=True, opacity=1).encode(
        x=x, y=y, color=colour, shape=shape, href="link:N", description="words:N"
    )
    return in_rows(alt.layer(zero, bars, dots), labels)


def figure_improvements(study: ReportStudy) -> Figure | None:
    """Leave-one-change-out: what each winner loses without one of its changes."""
    rows = study["improvements"].drop_nulls("effect").sort("rank")
    if not len(rows):
        return None
    top = rows.head(_TOP)
    labels = [f"{row['rank']}. {shortened(tidied(row['change']), _NAME)} ({row['strategy']})" for row in top.to_dicts()]
    top = described(
        linked(top.drop("diff")).with_columns(label=pl.Series(labels)),
        lambda row: (
            f"{search_name(row)}: {shortened(tidied(row['change']), 80)}: {study.amount(row['effect'], signed=True)} "
            f"({interval(row['low'], row['high'], signed=True) or 'no interval'})"
        ),
    )
    colour = _colour("evidence", {name: EVIDENCE[name] for name in EVIDENCE if name in top["evidence"].to_list()})
    shape = alt.Shape(
        "kind:N", scale=alt.Scale(domain=["in_space", "out_of_space"], range=["circle", "diamond"]), legend=None
    )
    chart = _effects(study, top, labels, colour, shape)
    caption = (
        "Test MAE of a winner minus that of the winner without the one change, both on fresh seeds; bars: 95 % "
        "interval. Ranked by level of evidence, then by the cautious end of the interval. Confirmed: still below 0 "
        "when the interval is widened for the number of changes of that winner that were tried (Bonferroni), and seen "
        "on two fresh seeds or more; suggestive: better by a standard error or more. Circles: knobs; diamonds: script; "
        "in brackets who found it. Leaving out one change at a time does not show how changes act together: two that "
        "do the same count 0 each, two that need each other count the whole gain each"
        + (
            "; the next figure shares them out. "
            if study["interactions"]["effect"].count()
            else ". So it is not known what a change is worth among the others, nor whether the effects add up to the "
            "winner's gain (evidence.purposes: interaction). "
        )
        + "Changes that cannot be left out "
        "alone, because later ones touch their lines, have a row in the table without an effect. "
        f"The {len(top)} first of {count(len(rows), 'change')} that were left out one at a time."
    )
    return Figure(
        "improvements", "Candidate improvements, ranked", caption, chart, {"improvements": study["improvements"]}
    )


def figure_interactions(study: ReportStudy) -> Figure | None:
    """What each change of a winner is worth among all of them, and how the two largest act together."""
    rows = study["interactions"].drop_nulls("effect")
    if not len(rows):
        return None
    rows = rows.sort(study.place(), "trajectory", "term", "effect")
    shown = rows.head(2 * _TOP)
    labels = [
        f"{place}. {_change_text(row, _NAME)} ({row['strategy']})" for place, row in enumerate(shown.to_dicts(), 1)
    ]
    shown = described(
        linked(shown).with_columns(
            label=pl.Series(labels), role=pl.col("term").replace_strict({"change": _VALUE, "pair": _PAIR})
        ),
        lambda row: (
            f"{search_name(row)}: {_change_text(row, 80)}: {study.amount(row['effect'], signed=True)} "
            f"({interval(row['low'], row['high'], signed=True) or 'no interval'}), {row['role']}"
        ),
    )
    colour = _colour("role", {_VALUE: PALETTE[0], _PAIR: PALETTE[1]})
    shape = alt.Shape(
        "role:N", scale=alt.Scale(domain=[_VALUE, _PAIR], range=["circle", "diamond"]), legend=colour["legend"]
    )
    chart = _effects(study, shown, labels, colour, shape)
    caption = (
        "Shapley values: what a change adds to test MAE on average over the orders in which the changes of a winner "
        "can be added; those of a winner add up to its gain over the baseline. Of two changes that do the same, or "
        "that need each other, each gets half. Interaction of the two largest, all others being kept: below 0 they "
        "gain more together than each alone, above 0 they do the same in part. Subsets of the changes were trained "
        "on fresh seeds; bars: 95 % interval over proteins and seeds. "
        + _orders_of(rows)
        + (
            "Changes joined by + are one: they touch the same lines, one uses the other's names, or the budget "
            "(evidence.interaction_runs) was too small to tell them apart. "
            if rows.filter(pl.col("term") == "change")["joined"].max() > 1
            else ""
        )
        + f"The {len(shown)} first of {count(len(rows), 'row')}."
    )
    return Figure(
        "interactions",
        "Contribution of each change (Shapley values)",
        caption,
        chart,
        {"interactions": study["interactions"]},
    )


def _change_text(row: dict[str, Any], length: int) -> str:
    if row["term"] == "pair":
        return pair_text(row["change"], length // 2 - 1)
    return shortened(tidied(row["change"]), length)


def _orders_of(rows: pl.DataFrame) -> str:
    changes = rows.filter(pl.col("term") == "change")
    if changes["complete"].all():
        return "All orders were trained. "
    part = changes.filter(~pl.col("complete")).select("strategy", "trajectory").n_unique()
    everything = changes.select("strategy", "trajectory").n_unique()
    return (
        f"For {part:,} of {count(everything, 'winner')} some orders were sampled, each with its mirror image: exact "
        "unless three or more changes interact, which the interval does not cover. "
    )


def figure_importance(study: ReportStudy) -> Figure | None:
    """Importance of the reference knobs over all in-space trials."""
    rows = study["importance"].filter(pl.col("scope") == "all").drop_nulls("importance").sort("rank")
    if not len(rows):
        return None
    top = rows.head(12)
    bars = (
        alt.Chart(described(top, lambda row: f"{row['knob']}: {100 * row['importance']:.0f} %"))
        .mark_bar(height=11, color=PALETTE[0])
        .encode(
            y=names_axis("knob", top["knob"].to_list(), grid=False),
            x=alt.X("importance:Q", title="share of importance (PED-ANOVA)", axis=alt.Axis(format="%", tickCount=5)),
            description="words:N",
        )
    )
    caption = (
        "PED-ANOVA over the in-space trials of all searches: which knobs tell the better trials from the others. "
        "Searches crowd where they expect gains, so this describes these trials, not the whole space. n = "
        f"{count(int(top['trials'].max()), 'trial')}; the {len(top)} first of {count(len(rows), 'knob')}."
    )
    return Figure(
        "importance",
        "Importance of the knobs",
        caption,
        in_rows(bars, top["knob"].to_list(), 18),
        {"importance": study["importance"]},
    )


def _colour(field: str, colours: dict[str, str]) -> alt.Color:
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    legend = alt.Legend(title=None, orient="top", labelLimit=200, columns=2 if max(map(len, colours)) > 15 else 4)
    return alt.Color(f"{field}:N", scale=scale, legend=legend)
