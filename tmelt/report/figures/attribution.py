"""Where the gain came from: knobs or script, which changes, which knobs."""

import altair as alt
import polars as pl

from tmelt.report.figures.theme import (
    FAINT,
    MUTED,
    PALETTE,
    PHONE,
    Figure,
    columns_for,
    described,
    faceted,
    linked,
    names_axis,
    panel_width,
    styled,
    trial_axis,
)
from tmelt.report.inputs import Study
from tmelt.report.words import count, interval, number, search_name, shortened, tidied, trial_name

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
# What a trial changes: knobs only, constants of the script that are no knob, its structure, nothing in effect.
TRIED = {
    "knobs": PALETTE[0],
    "other constants": PALETTE[1],
    "structure": PALETTE[3],
    "nothing": MUTED,
}
THIRDS = ("first", "second", "last")


def figure_attribution(study: Study, width: int) -> Figure | None:
    """Each search's gain in validation MAE, split into in-space and out-of-space changes."""
    rows = study["attribution"].drop_nulls("gain")
    if not len(rows):
        return None
    each = len(rows) <= 24
    if each:
        rows = rows.sort(study.place(), "trajectory")
        rows = rows.with_columns(label=pl.format("{}, search {}", "strategy", "trajectory"))
        labels = rows["label"].to_list()
    else:
        rows = rows.group_by("strategy", maintain_order=True).agg(pl.col("in_space", "out_of_space", "unknown").mean())
        rows = rows.with_columns(label=pl.col("strategy"))
        labels = [name for name in study.strategies if name in rows["label"].to_list()]
    parts = dict(zip(("in_space", "out_of_space", "unknown"), KINDS, strict=False))
    long = (
        rows.select("label", *parts)
        .unpivot(on=list(parts), index="label", variable_name="part", value_name="gain")
        .with_columns(
            kind=pl.col("part").replace_strict(parts),
            gain=-pl.col("gain"),
        )
        .filter(pl.col("gain") != 0)
    )
    if not len(long):
        return None
    chart = (
        alt.Chart(described(long, lambda row: f"{row['label']} · {row['kind']}: {number(row['gain'])} °C"))
        .mark_bar(height=12)
        .encode(
            y=names_axis("label", labels, grid=False),
            x=alt.X(
                "gain:Q",
                title="gain in validation MAE over the baseline (°C)",
                axis=alt.Axis(tickCount=4 if width < PHONE else 6),
            ),
            color=_colour("kind", {label: KINDS[label][0] for label in parts.values()}, width),
            description="words:N",
        )
        .properties(width=width - (140 if width < PHONE else 200), height=alt.Step(19))
    )
    caption = (
        "How much of each winner's gain in validation MAE came from knob values of the reference candidate (in "
        "space, also where a script puts a value in their place) and how much from rewriting its script (out of "
        "space); a change of both is split by training its in-space part alone, where that was done. The gain is the "
        "search's own, by the scores that chose the winner, and is optimistic. "
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
        styled(chart, width),
        {"attribution": study["attribution"]},
    )


def figure_kinds(study: Study, width: int) -> Figure | None:
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
            color=_colour("kind", TRIED, width),
            description="words:N",
        )
        .properties(width=panel_width(width, columns_for(len(names), width)), height=110)
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
        styled(faceted(panel, "strategy", names, width), width),
        {"kinds": shares},
    )


def kind_shares(study: Study) -> tuple[pl.DataFrame, int]:
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


def figure_changes(study: Study, width: int) -> Figure | None:
    """Kept changes on the winners' paths: when they came, and how much they gained."""
    rows = study["changes"].drop_nulls("effect")
    if not len(rows):
        return None
    rows = rows.select("strategy", "trajectory", "iteration", "effect", "effect_se", "kind")
    drawn = described(
        linked(rows),
        lambda row: f"{trial_name(row)}: {number(row['effect'], signed=True)} °C, {row['kind'].replace('_', ' ')}",
    )
    drawn = drawn.with_columns(
        kind=pl.col("kind").replace_strict(_KIND_OF),
        low=pl.col("effect") - pl.col("effect_se"),
        high=pl.col("effect") + pl.col("effect_se"),
    )
    names = [name for name in study.strategies if name in drawn["strategy"].to_list()]
    columns = columns_for(len(names), width)
    last = int(study["trials"]["iteration"].max())
    x = alt.X("iteration:Q", title="trial", scale=alt.Scale(domain=[0, last]), axis=trial_axis(last))
    y = alt.Y("effect:Q", title="change (°C)", axis=alt.Axis(tickCount=4))
    shown = {kind: look for kind, look in KINDS.items() if kind != _KIND_OF["none"] or kind in drawn["kind"].to_list()}
    colour = _colour("kind", {kind: tint for kind, (tint, _) in shown.items()}, width)
    shape = alt.Shape(
        "kind:N",
        scale=alt.Scale(domain=list(shown), range=[form for _, form in shown.values()]),
        legend=colour["legend"],
    )
    bars = (
        alt.Chart()
        .mark_rule(strokeWidth=1.2, opacity=0.6, aria=False)
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=colour)
    )
    dots = (
        alt.Chart()
        .mark_point(size=42, filled=True, opacity=0.95)
        .encode(x=x, y=y, color=colour, shape=shape, href="link:N", description="words:N")
    )
    panel = alt.layer(bars, dots, data=drawn).properties(width=panel_width(width, columns), height=130)
    chart = faceted(panel, "strategy", names, width)
    caption = (
        "Changes on the path from the baseline to the winner: change of validation MAE, the trial's minus that of "
        "the incumbent they replaced, by the search's own scores, which chose them and are optimistic; bars: one "
        "standard error from the seed noise. n = "
        f"{count(len(drawn), 'change')}."
    )
    return Figure(
        "changes", "When the gains came", caption, styled(chart, width), {"changes": drawn.drop("words", "link")}
    )


def figure_improvements(study: Study, width: int) -> Figure | None:
    """Leave-one-change-out: what each winner loses without one of its changes."""
    rows = study["improvements"].drop_nulls("effect").sort("rank")
    if not len(rows):
        return None
    top = rows.head(_TOP)
    room = 22 if width < PHONE else 50
    labels = [f"{row['rank']}. {shortened(tidied(row['change']), room)} ({row['strategy']})" for row in top.to_dicts()]
    top = described(
        linked(top.drop("diff")).with_columns(label=pl.Series(labels)),
        lambda row: (
            f"{search_name(row)}: {shortened(tidied(row['change']), 80)}: {number(row['effect'], signed=True)} °C "
            f"({interval(row['low'], row['high'], signed=True) or 'no interval'})"
        ),
    )
    y = names_axis("label", labels, limit=165 if width < PHONE else 380)
    x = alt.X("effect:Q", title="effect on test MAE (°C); below 0: it helps", axis=alt.Axis(grid=False, tickCount=5))
    colour = _colour(
        "evidence", {name: EVIDENCE[name] for name in EVIDENCE if name in top["evidence"].to_list()}, width
    )
    base = alt.Chart(top)
    zero = alt.Chart(pl.DataFrame({"effect": [0.0]})).mark_rule(color=FAINT, aria=False).encode(x=x)
    bars = base.mark_rule(strokeWidth=2.2, aria=False).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour)
    dots = base.mark_point(size=55, filled=True, opacity=1).encode(
        x=x,
        y=y,
        color=colour,
        href="link:N",
        description="words:N",
        shape=alt.Shape(
            "kind:N", scale=alt.Scale(domain=["in_space", "out_of_space"], range=["circle", "diamond"]), legend=None
        ),
    )
    chart = alt.layer(zero, bars, dots).properties(width=width - (180 if width < PHONE else 340), height=alt.Step(22))
    caption = (
        "Test MAE of a winner minus that of the winner without the one change, both on fresh seeds; bars: 95 % "
        "interval. Ranked by level of evidence, then by the cautious end of the interval. Confirmed: still below 0 "
        "when the interval is widened for the number of changes of that winner that were tried (Bonferroni), and seen "
        "on two fresh seeds or more; suggestive: better by a standard error or more. Circles: knobs; diamonds: script; "
        "in brackets who found it. Leaving out one change at a time does not show how changes act together: two that "
        "do the same count 0 each, two that need each other count the whole gain each. Changes that cannot be left out "
        "alone, because later ones touch their lines, have a row in the table without an effect. "
        f"The {len(top)} first of {count(len(rows), 'change')} that were left out one at a time."
    )
    return Figure(
        "improvements",
        "Candidate improvements, ranked",
        caption,
        styled(chart, width),
        {"improvements": study["improvements"]},
    )


def figure_importance(study: Study, width: int) -> Figure | None:
    """Importance of the reference knobs over all in-space trials."""
    rows = study["importance"].filter(pl.col("scope") == "all").drop_nulls("importance").sort("rank")
    if not len(rows):
        return None
    top = rows.head(12)
    chart = (
        alt.Chart(described(top, lambda row: f"{row['knob']}: {100 * row['importance']:.0f} %"))
        .mark_bar(height=11, color=PALETTE[0])
        .encode(
            y=names_axis("knob", top["knob"].to_list(), grid=False),
            x=alt.X("importance:Q", title="share of importance (PED-ANOVA)", axis=alt.Axis(format="%", tickCount=5)),
            description="words:N",
        )
        .properties(width=width - (130 if width < PHONE else 190), height=alt.Step(18))
    )
    caption = (
        "PED-ANOVA over the in-space trials of all searches: which knobs tell the better trials from the others. "
        "Searches crowd where they expect gains, so this describes these trials, not the whole space. n = "
        f"{count(int(top['trials'].max()), 'trial')}; the {len(top)} first of {count(len(rows), 'knob')}."
    )
    return Figure(
        "importance", "Which knobs mattered", caption, styled(chart, width), {"importance": study["importance"]}
    )


def _colour(field: str, colours: dict[str, str], width: int) -> alt.Color:
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    room = {"columns": 2} if width < PHONE else {}
    legend = alt.Legend(title=None, orient="top", labelLimit=200, **room)
    return alt.Color(f"{field}:N", scale=scale, legend=legend)
