"""Cautions about external test sets: what they share with training, and what was done after their labels were seen."""

from collections.abc import Iterator
from functools import partial

import polars as pl

from tmelt.report.cautions.caution import Caution
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.external import RULE, set_of
from tmelt.report.words import count, listing, percent, shortened

TOLD_APART = 0.9  # AUROC beyond which a set is of another domain
_caution = partial(Caution, group="data")


def external(study: ReportStudy) -> Iterator[Caution]:
    """Overlap with the study's proteins, another domain, searches that went on, winners without predictions."""
    for row in study["external_sets"].to_dicts():
        name, proteins = row["set"], row["proteins"]
        if row["homologous"] or row["in_study"]:
            same = f" {count(row['in_study'], 'sequence')} of it are in the study itself." if row["in_study"] else ""
            yield _caution(
                level="warning",
                title=f"External set {name} overlaps with training.",
                text=f"{row['homologous']:,} of its {count(proteins, 'protein')} "
                f"({percent(row['homologous'] / proteins)}) belong to a family with a protein of fit or stop.{same} "
                "Its scores flatter the models; those without these proteins are in a table below them.",
            )
        if (row["domain_auroc"] or 0.0) > TOLD_APART:
            yield _caution(
                level="note",
                title=f"External set {name} is of another domain.",
                text="Composition and length alone tell its proteins from those of fit (AUROC "
                f"{row['domain_auroc']:.2f}): errors there are those of an extrapolation.",
            )
    missing = study["external"].filter(pl.col("value").is_null() & (pl.col("metric") == "mae"))
    for (name, note), rows in missing.group_by("set", "note", maintain_order=True):
        names = [row["strategy"] or "baseline" for row in rows.to_dicts()]
        yield _caution(
            level="warning",
            title=f"No predictions of external set {name}.",
            text=f"{listing(sorted(set(names)))}: {shortened(str(note), 200)}.",
        )
    if went_on := _seen_before(study):
        yield _caution(
            level="warning",
            title="Searches went on after external labels were seen.",
            text=f"{listing(went_on)}: later scores on them are no test of what was unknown.",
        )


def _seen_before(study: ReportStudy) -> list[str]:
    """External sets whose labels were opened before a search went on."""
    opened: list[str] = []
    seen: list[str] = []
    for entry in study.vault_log:
        if entry.get("extended_since"):
            seen += [name for name in opened if name not in seen]
        if entry.get("rule") == RULE:
            opened += [set_of(path) for path in entry.get("labels", {})]
    return seen
