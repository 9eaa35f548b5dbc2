"""Cautions about how the searches ran: samplers without a model, runs cut by the clock, unequal lengths."""

from collections.abc import Iterator
from functools import partial

import polars as pl

from tmelt.report.cautions.caution import Caution
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, listing

_NAMED = 6  # short searches that are named one by one
_MODEL_FREE = ("qmc",)  # samplers of `bo` that fit no model

_caution = partial(Caution, group="searches")


def searches(study: ReportStudy) -> Iterator[Caution]:
    """Hybrids and BO with too few model-based trials, runs cut by the clock, searches of unequal length."""
    yield from _without_model(study)
    yield from _few_model_based(study)
    yield from _cut_by_clock(study)
    yield from _not_carried_over(study)
    yield from _short_searches(study)


def _sampler(study: ReportStudy, name: str) -> str:
    """Where a sampler of `bo` proposes: see tmelt.strategies.kind."""
    kind = study.kind(name)
    return kind.sampler if kind else "none"


def _sampler_trials(study: ReportStudy, name: str) -> pl.DataFrame:
    """Per search of a strategy: trials drawn at random before the model (`startup`) and model-based ones."""
    own = study["trials"].filter(pl.col("strategy") == name)
    return own.group_by("trajectory").agg(
        startup=(pl.col("origin") == "startup").sum(), model=(pl.col("origin") == "sampler").sum()
    )


def _without_model(study: ReportStudy) -> Iterator[Caution]:
    """Hybrids whose inner trials were all drawn at random, so that no BO took place."""
    told = []
    for name in study.strategies:
        if _sampler(study, name) != "inner":
            continue
        inner = _sampler_trials(study, name)
        startup, model = int(inner["startup"].sum()), int(inner["model"].sum())
        if startup and not model:
            told.append(f"{name} ({startup} of {startup} inner trials)")
        elif not startup and not model:
            told.append(f"{name} (no inner trial at all)")
    if told:
        yield _caution(
            level="warning",
            title="Hybrids without BO.",
            text=f"No inner trial of {listing(told)} was proposed by a model: every one was drawn at random before the "
            "sampler had enough trials of its subspace. These arms compare an agent with random draws, not with BO.",
        )


def _few_model_based(study: ReportStudy) -> Iterator[Caution]:
    """BO arms with fewer model-based trials than the space has knobs."""
    knobs = len(study.protocol.design.knobs)
    told = []
    for name in study.strategies:
        options = study.settings.get(name, {}).get("options", {})
        if _sampler(study, name) == "none" or options.get("sampler") in _MODEL_FREE:
            continue
        most = int(_sampler_trials(study, name)["model"].max() or 0)
        if most < knobs and (most or _sampler(study, name) == "always"):
            told.append(f"{name} (at most {most})")
    if told:
        yield _caution(
            level="warning",
            title="Little BO.",
            text=f"Model-based trials per search of {listing(told)} are fewer than the {count(knobs, 'knob')} of the "
            "space: this budget is too small to judge BO.",
        )


def _cut_by_clock(study: ReportStudy) -> Iterator[Caution]:
    """Full trainings that the budget's clock ended before they were done; cheap ones may be meant to end so."""
    told, cut = [], 0
    for name in study.strategies:
        own = study["trials"].filter(
            (pl.col("strategy") == name) & (pl.col("cut_by_clock") > 0) & (pl.col("fidelity") == 1)
        )
        if len(own):
            told.append(f"{name} {len(own)}")
            cut += int(own["cut_by_clock"].sum())
    if told:
        yield _caution(
            level="warning",
            title="Runs cut by the clock.",
            text=f"{count(cut, 'run')} ended for lack of time (trials concerned: {listing(told)}): their candidates "
            "might do better with a larger budget, and comparisons favour fast ones.",
        )


def _not_carried_over(study: ReportStudy) -> Iterator[Caution]:
    """Gains in validation that proteins which no search saw do not show."""
    shown = study["strategies"].filter(pl.col("optimism_low") > 0).sort(study.place())
    if len(shown):
        told = listing([f"{row['strategy']} ({study.amount(row['optimism'])})" for row in shown.to_dicts()])
        yield _caution(
            level="warning",
            title="Gains that do not carry over.",
            text=f"A part of the gain in validation of {told} is absent on proteins that no search saw: the search "
            "fitted the validation proteins. Do not quote validation errors of these arms.",
        )
    earlier = study["choices"].filter(pl.col("chosen") & (pl.col("place") > 1))
    if len(earlier):
        names = [f"{row['strategy']} (search {row['trajectory']})" for row in earlier.head(_NAMED).to_dicts()]
        more = f" and {len(earlier) - _NAMED} more" if len(earlier) > _NAMED else ""
        yield _caution(
            level="note",
            title="Winners that are not the last incumbent.",
            text=f"Of {listing(names)}{more} an earlier incumbent had the lower error on select, so that one is the "
            "winner.",
        )


def _unequal_budgets(study: ReportStudy, lengths: pl.DataFrame) -> Iterator[Caution]:
    """Searches that go on until a budget in device seconds or dollars is used: their lengths, and those it did not end.

    Args:
        lengths: strategy, trajectory, trials after the baseline.
    """
    fewest, most = lengths["trials"].min(), lengths["trials"].max()
    if fewest < most:
        yield _caution(
            level="note",
            title="Searches of unequal length by design.",
            text=f"Searches are of {study.length}; the shortest has {count(fewest, 'trial')} after the baseline, the "
            f"longest {most}. Curves over trials compare unequal budgets; read those over the budget's own unit.",
        )
    other = [
        (strategy, trajectory)
        for strategy, trajectory in lengths.sort("strategy", "trajectory").select("strategy", "trajectory").iter_rows()
        if (note := study.used_up.get((strategy, trajectory))) is None or note.used is None
    ]
    if other:
        told = listing([f"{strategy} (search {trajectory})" for strategy, trajectory in other[:_NAMED]])
        more = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
        yield _caution(
            level="warning",
            title="Searches that ended before their budget was used.",
            text=f"{told}{more}: at the most trials that the config allows, by a stop, or because the price or usage of"
            " a trial is unknown. They had less than the others; do not compare them as equals.",
        )


def _short_searches(study: ReportStudy) -> Iterator[Caution]:
    """Searches that ended before the longest one."""
    lengths = study.lengths
    if study.used_up:
        yield from _unequal_budgets(study, lengths)
        return
    short = lengths.filter(pl.col("trials") < pl.col("trials").max()).sort("strategy", "trajectory")
    if len(short):
        names = [
            f"{row['strategy']} (search {row['trajectory']}, {row['trials'] + 1} trials)"
            for row in short.head(_NAMED).to_dicts()
        ]
        more = f" and {len(short) - _NAMED} more" if len(short) > _NAMED else ""
        yield _caution(
            level="note",
            title="Searches of unequal length.",
            text=f"Shorter than {lengths['trials'].max() + 1} trials: {listing(names)}{more} (stopped, or a spent "
            "budget).",
        )
