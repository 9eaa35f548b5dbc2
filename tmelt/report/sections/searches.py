"""The searches: error of the incumbents, every trial, and how far validation can be trusted."""

from collections.abc import Iterator

import polars as pl

from tmelt.report.blocks import Block, Table, Tabs
from tmelt.report.figures.agreement import figure_agreement, figure_gap
from tmelt.report.figures.confirmation import figure_optimism
from tmelt.report.figures.lineage import figure_lineage, lineage
from tmelt.report.figures.search import axes_of, figure_incumbents, figure_trials
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.section import Section
from tmelt.report.words import DASH, dollars, number, percent, seconds


def content(study: ReportStudy) -> Iterator[Block | None]:
    """Incumbents along each axis, trials, optimism, and agreement of validation with test."""
    curves = [figure for axis in axes_of(study) if (figure := figure_incumbents(study, axis=axis))]
    yield Tabs(curves, [figure.title.removeprefix("Incumbent error ") for figure in curves])
    if curves:
        yield efficiency_table(study).labelled(
            "Area under the curve and time to target", heading="Speed of the searches", below=target_text(study)
        )
    yield figure_trials(study)
    yield figure_lineage(study)
    yield topology_table(study).labelled("What proposals build on", below=_TOPOLOGY)
    yield figure_optimism(study)
    yield figure_agreement(study)
    yield figure_gap(study)


SECTION = Section("search", "The searches", content, "no trial was scored.")


_PLACE = {"trials": lambda value: f"trial {value:.0f}", "fit_s": seconds, "device_s": seconds, "total_usd": dollars}


_AXES = {
    "trials": "over trials",
    "fit_s": "over training time",
    "device_s": "over GPU time",
    "total_usd": "over dollars",
}


def efficiency_table(study: ReportStudy) -> Table:
    """How fast the searches of each strategy descend: mean incumbent error, and when the common target is reached."""
    rows = pl.concat([study["efficiency"], study["dollar_efficiency"]])
    axes = [axis for axis in _AXES if rows.filter(pl.col("axis") == axis)["auc"].drop_nulls().len()]
    cells = []
    for name in study.strategies:
        row = [name]
        for axis in axes:
            own = rows.filter((pl.col("strategy") == name) & (pl.col("axis") == axis))
            reached = own["time_to_target"].drop_nulls().sort()
            row.append(number(own["auc"].mean()))
            text = f"{len(reached)} of {len(own)}"
            if 2 * len(reached) > len(own):  # searches that never get there count as later than all
                text += f", {_PLACE[axis](reached[(len(own) - 1) // 2])}"
            row.append(text)
        cells.append(row)
    columns = [""]
    for axis in axes:
        columns += [study.head(f"mean error {_AXES[axis]}"), "reached target"]
    return Table(columns, cells)


def target_text(study: ReportStudy) -> str:
    """What the columns of `efficiency_table` mean."""
    rows = pl.concat([study["efficiency"], study["dollar_efficiency"]]).drop_nulls("auc")
    if not len(rows):
        return ""
    horizons = rows.unique("axis", maintain_order=True).to_dicts()
    ends = {row["axis"]: _PLACE[row["axis"]](row["horizon"]) for row in horizons}
    said = ", ".join(ends[axis] for axis in _AXES if axis in ends)
    return (
        "Area under the curve: the incumbent's validation MAE averaged from the start to where the shortest search "
        f"ended ({said}); mean over the searches of a strategy. Target: {study.amount(rows['target'][0])} in "
        "validation, the median over all searches of where they ended; in how many searches it was reached, and "
        "the median search's time (of an even number the earlier of the two; searches that never got there count as "
        "later than all)."
    )


_TOPOLOGY = (
    "Over all searches of a strategy. Topology: which trial a proposal builds on, by the option of agents; a dash "
    "where a kind has its own way. Not from incumbent: share of the trials that build on another trial than the "
    "incumbent before them. Depth: most changes away from the baseline, mean over searches."
)


def topology_table(study: ReportStudy) -> Table:
    """How widely the searches of each strategy branched."""
    rows = lineage(study["trials"])
    cells = []
    for name in study.strategies:
        own = rows.filter(strategy=name)
        trials = own.drop_nulls("parent")
        if len(trials):
            parents = trials.select("trajectory", "parent").n_unique()
            cells.append(
                [
                    name,
                    _topology(study, name),
                    number(len(trials) / parents, 1),
                    percent(1 - trials["from_incumbent"].mean()),
                    number(own.group_by("trajectory").agg(pl.col("generation").max())["generation"].mean(), 1),
                ]
            )
    columns = ["", "topology", "trials per parent", "not from incumbent", "depth"]
    return Table(columns, cells, texts=[1])


def _topology(study: ReportStudy, strategy: str) -> str:
    kind = study.kind(strategy)
    options = study.settings.get(strategy, {}).get("options", {})
    if kind is None or "topology" not in getattr(kind.options, "model_fields", {}):
        return options.get("topology", DASH)
    return options.get("topology", "greedy")
