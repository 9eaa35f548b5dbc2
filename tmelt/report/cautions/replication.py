"""Cautions about what the intervals and tests do not cover: the split, copies of searches, identical winners."""

from collections.abc import Iterator
from functools import partial

import polars as pl

from tmelt.evidence.replicates import chains
from tmelt.report.cautions.caution import Caution
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, listing

_caution = partial(Caution, group="replication")


def replication(study: ReportStudy) -> Iterator[Caution]:
    """One split, one search, repeated searches, winners that several strategies share."""
    yield from _copies(study)
    yield from _shared_winners(study)
    if study.trajectories == 1 and len(study.strategies) > 1:
        yield _caution(
            level="warning",
            title="One search per strategy.",
            text="The spread between searches of a strategy is unknown: intervals are about the winners found, not "
            "about the strategies.",
        )
    yield _caution(
        level="note",
        title="One split of one data set.",
        text="All errors come from one division of the proteins into fit, stop, val and test. Intervals account for "
        "the choice of test proteins by family, not for another division or another data set.",
    )


def _copies(study: ReportStudy) -> Iterator[Caution]:
    """Searches of a strategy that repeat each other, or that end at winners which predict the same."""
    tried, told = chains(study["trials"]), []
    for name in study.strategies:
        own = [chain for (strategy, _), chain in tried.items() if strategy == name]
        if len(set(own)) < len(own):
            told.append(f"{name}: {count(len(own), 'search', 'searches')}, {len(set(own))} distinct by their trials")
            continue
        row = study["strategies"].filter((pl.col("strategy") == name) & (pl.col("distinct") < pl.col("confirmed")))
        told += [
            f"{name}: {count(one['confirmed'], 'search', 'searches')}, {one['distinct']} distinct by their winners"
            for one in row.to_dicts()
        ]
    if told:
        yield _caution(
            level="warning",
            title="Repeated searches.",
            text=f"{'; '.join(told)}. Equal searches are one observation in every interval and test.",
        )


def _shared_winners(study: ReportStudy) -> Iterator[Caution]:
    """Candidates that are the winner of several strategies."""
    won = study["winners"].drop_nulls("outcome").filter(pl.col("iteration") > 0)
    shared = (
        won.group_by("outcome", maintain_order=True)
        .agg(names=pl.col("strategy").unique(maintain_order=True))
        .filter(pl.col("names").list.len() > 1)
    )
    groups = sorted({tuple(sorted(names, key=study.strategies.index)) for names in shared["names"].to_list()})
    if groups:
        yield _caution(
            level="note",
            title="Identical winners.",
            text=f"{'; '.join(listing(list(names)) for names in groups)} ended at the same candidate: no difference "
            "between these winners can be measured.",
        )
