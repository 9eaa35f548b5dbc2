"""What a reader must know before any number, computed from what was recorded."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from tmelt.report.controls import control_notes
from tmelt.report.inputs import Study
from tmelt.report.words import count, listing, shortened

_NAMED = 6  # short searches that are named one by one


@dataclass(frozen=True)
class Caution:
    """Something a reader must know before any number."""

    level: str  # danger, warning or note
    title: str
    text: str


def cautions(study: Study) -> list[Caution]:
    """In order of weight."""
    return [
        *_confinement(study),
        *_reality(study),
        *(Caution(*told) for told in control_notes(study)),
        *_revisions(study),
        *_what_is_missing(study),
        *_short_searches(study),
    ]


def _confinement(study: Study) -> Iterator[Caution]:
    """Whether candidates could reach what they must not, and whether any tried."""
    runs = study["runs"]
    if study.unconfined:
        unconfined = int((runs["sandbox"] == "none").sum())
        yield Caution(
            "danger",
            "No sandbox.",
            f"{count(unconfined, 'run')} of {len(runs):,} trained candidate code without confinement (sandbox: none): "
            "a script could have read the hidden labels or changed files. Do not rely on scores of written scripts.",
        )
    tampered = study["trials"].filter(pl.col("status") == "tamper")
    if len(tampered):
        yield Caution(
            "danger",
            "Tampering.",
            f"{count(len(tampered), 'trial')} tried to tamper with its own measurement; none of them has a score.",
        )


def _reality(study: Study) -> Iterator[Caution]:
    """What of data, backbone and agents is a stand-in."""
    if study.synthetic:
        yield Caution(
            "warning",
            "Synthetic data.",
            "The proteins and their melting temperatures were made by a generator, not measured: errors here say "
            "nothing about real proteins.",
        )
    if study.untrained:
        name = study.embedding.get("backbone", "the backbone")
        yield Caution(
            "warning",
            "Untrained backbone.",
            f"{name} has random weights: what a trained protein language model would add is not in these numbers.",
        )
    if study.scripted:
        names = listing(study.scripted)
        who = f"agents of {names} are scripted playbooks"
        if len(study.scripted) == 1:
            who = f"agent of {names} is a scripted playbook"
        yield Caution(
            "warning", "Scripted agents.", f"The {who}, no LLM: nothing here says how well a language model searches."
        )


def _revisions(study: Study) -> Iterator[Caution]:
    """Changes of the protocol after the study began."""
    for revision in study.protocol.get("revisions", []):
        yield Caution(
            "warning",
            f"The protocol was revised on {revision['at']}.",
            "Trials before and after it are not strictly comparable. Changed: "
            f"{shortened('; '.join(map(str, revision['changes'])), 600)}.",
        )


def _what_is_missing(study: Study) -> Iterator[Caution]:
    """Without opened labels or a confirmation there is no result."""
    if not study.vault_log:
        yield Caution("note", "Test labels are sealed.", "They have not been opened, so this report has no test error.")
    elif not len(study.confirmed):
        yield Caution(
            "note",
            "Nothing is confirmed.",
            "No winner has a score on fresh seeds: only errors of the search itself are shown.",
        )


def _short_searches(study: Study) -> Iterator[Caution]:
    """Searches that ended before the longest one."""
    lengths = study["trials"].group_by("strategy", "trajectory").agg(trials=pl.len())
    short = lengths.filter(pl.col("trials") < pl.col("trials").max()).sort("strategy", "trajectory")
    if len(short):
        names = [
            f"{row['strategy']} (search {row['trajectory']}, {row['trials']} trials)"
            for row in short.head(_NAMED).to_dicts()
        ]
        more = f" and {len(short) - _NAMED} more" if len(short) > _NAMED else ""
        yield Caution(
            "note",
            "Not all searches are equally long.",
            f"Shorter than {lengths['trials'].max()} trials: {listing(names)}{more} (stopped, or a spent budget).",
        )
