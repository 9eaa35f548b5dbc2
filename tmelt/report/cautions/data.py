"""Cautions about what stands in for the real thing (proteins, backbone and agents), and about the labels."""

from collections.abc import Iterator
from functools import partial

from tmelt.report.cautions.caution import Caution
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import listing

_AUDITED = {
    "repeats": "repeated measurements disagree",
    "spread": "labels hardly vary",
    "values": "few different labels",
    "tied": "tied labels",
    "censored": "censored labels",
    "organism_labels": "labels of {groups}",
    "lengths": "sequences of one length",
    "organisms": "spellings of {groups}",
    "conditions": "mixed conditions",
    "leak": "homologues across the split",
}
_caution = partial(Caution, group="data", level="warning")


def data(study: ReportStudy) -> Iterator[Caution]:
    """Synthetic proteins, untrained backbone, scripted agents; what the label audit found."""
    if study.synthetic:
        yield _caution(
            title="Synthetic data.",
            text="The proteins and their melting temperatures were made by a generator, not measured: errors here say "
            "nothing about real proteins.",
        )
    if study.untrained:
        name = study.embedding.backbone
        yield _caution(
            title="Untrained backbone.",
            text=f"{name} has random weights: what a trained protein language model would add is not in these numbers.",
        )
    if study.imported:
        rows = "one row per residue"
        if study.embedding.per_protein:
            rows = "one row per protein, so that knobs of pooling, crop and attention between residues do nothing"
        yield _caution(
            title="Imported embeddings.",
            text=f"They were computed elsewhere, with {rows}. The network that made them and "
            "its training data are unknown.",
        )
    if study.other_weights:
        yield _caution(
            title="Other weights.",
            text="The backbone's weights come from a file that is not known as a released one: they may be a "
            "conversion, trained further, or not trained at all. What is said of this backbone elsewhere need not hold "
            "here.",
        )
    if study.scripted:
        names = listing(study.scripted)
        who = f"agents of {names} are scripted playbooks"
        if len(study.scripted) == 1:
            who = f"agent of {names} is a scripted playbook"
        yield _caution(
            title="Scripted agents.",
            text=f"The {who}, no LLM: nothing here says how well a language model searches. {_known(study)}",
        )
    for row in study.audit.to_dicts():
        if row["level"] in ("caution", "accepted"):
            check = _AUDITED.get(row["check"], row["check"])
            accepted = " The config accepts what would stop a study." if row["level"] == "accepted" else ""
            text = f"{row['text'][:1].upper()}{row['text'][1:]}.{accepted}"
            yield _caution(title=f"Label audit: {check.format(groups=study.group.plural)}.", text=text)


def _known(study: ReportStudy) -> str:
    """What the playbook's authors knew when they wrote it."""
    start = (
        "The playbook was written with knowledge of the published faults of trial 0 (its pooling, patience and loss)"
    )
    if study.protocol.design.baseline == "published":
        return f"{start}, which no other strategy has: its lead over random search and BO is built in."
    return f"{start}; trial 0 of this study has others."
