"""Cautions about the integrity of the scores: confinement, tampering, revisions of the protocol, missing results."""

from collections.abc import Iterator
from functools import partial

import polars as pl

from tmelt.evidence.robustness import LOST_SHARE
from tmelt.report.cautions.caution import Caution
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, listing, shortened

_caution = partial(Caution, group="integrity")


def integrity(study: ReportStudy) -> Iterator[Caution]:
    """No sandbox, tampering, lookup tables, lost accuracy, revisions, sealed test labels, missing confirmation."""
    runs = study["runs"]
    if study.unconfined:
        unconfined = int((runs["sandbox"] == "none").sum())
        yield _caution(
            level="danger",
            title="No sandbox.",
            text=f"{count(unconfined, 'run')} of {len(runs):,} trained candidate code without confinement (sandbox: "
            "none): a script could have read the hidden labels or changed files. Do not rely on scores of written "
            "scripts.",
        )
    for name, reason in study.not_tried.items():
        yield _caution(
            level="warning",
            title=f"Not tried: {name}.",
            text=f"{shortened(reason, 600)}. {name} is in no comparison, figure or verdict of this page: replies that "
            "cannot be used say nothing about a way of searching.",
        )
    tampered = study["trials"].filter(pl.col("status") == "tamper")
    if len(tampered):
        yield _caution(
            level="danger",
            title="Tampering.",
            text=f"{count(len(tampered), 'trial')} tried to tamper with its own measurement; none of them has a score.",
        )
    lookup = study["trials"].filter(pl.col("integrity") == "table_like")
    if len(lookup):
        won = int((lookup["iteration"] == lookup["incumbent"]).sum())
        yield _caution(
            level="warning",
            title="Scripts that look like lookup tables.",
            text=f"{count(len(lookup), 'trial')} of {listing(lookup['strategy'].unique().sort().to_list())} ran a "
            "script with a large literal, a string like an amino-acid sequence, or a hash function; "
            f"{won:,} of them became the incumbent. Read these scripts before you rely on their errors: they may "
            "recognise proteins instead of predicting them.",
        )
    yield from _not_robust(study)
    for revision in study.protocol.revisions:
        yield _caution(
            level="warning",
            title=f"The protocol was revised on {revision.at}.",
            text="Trials before and after it are not strictly comparable. Changed: "
            f"{shortened('; '.join(revision.changes), 600)}.",
        )
    if not study.vault_log:
        yield _caution(
            level="note",
            title="Test labels are sealed.",
            text="They have not been opened, so this report has no test error.",
        )
    elif not len(study.confirmed):
        yield _caution(
            level="note",
            title="Nothing is confirmed.",
            text="No winner has a score on fresh seeds: only errors of the search itself are shown.",
        )


def _not_robust(study: ReportStudy) -> Iterator[Caution]:
    """Winners whose accuracy is gone once their proteins change slightly, and winners that could not be tested."""
    won = study["robustness"].filter(pl.col("role") == "winner").sort(study.place(), "trajectory")
    flagged = won.filter(pl.col("flagged"))
    if len(flagged):
        names = [
            f"{strategy} (search {trajectory}: {listing(own['kind'].to_list())})"
            for (strategy, trajectory), own in flagged.group_by(["strategy", "trajectory"], maintain_order=True)
        ]
        yield _caution(
            level="danger",
            title="Winners that recognise proteins.",
            text=f"{listing(names)}: at least {100 * LOST_SHARE:.0f} % of the error on slightly changed proteins is "
            "absent on the proteins themselves. That is what a table of labels does. Do not rely on these errors.",
        )
    untested = won.filter(pl.col("flagged").is_null()).unique(["strategy", "trajectory"], maintain_order=True)
    if len(untested):
        names = [
            f"{row['strategy']} (search {row['trajectory']}: {shortened(row['note'] or '', 120)})"
            for row in untested.to_dicts()
        ]
        yield _caution(
            level="warning",
            title="Winners without a memorisation check.",
            text=f"{listing(names)}: nothing says whether these winners recognise proteins.",
        )
