"""The label audit: is what a table calls labels of the target plausible as such?

| check | looks for |
|---|---|
| `repeats` | measurements of one sequence that disagree beyond known noise: mutants under the wild type's sequence |
| `spread` | labels that hardly vary |
| `values` | few different labels: classes, or the temperatures of melting curves |
| `tied` | many labels of exactly one value: an instrument's limit |
| `censored` | many labels that are bounds |
| `organism_labels` | labels that hardly vary within organisms: growth temperatures |
| `lengths` | sequences of one length, or cut at a length |
| `organisms` | one organism under several spellings, or names that may be one |
| `conditions` | pH, assay or source that vary among the rows |
| `leak` | a given split with homologues, or the same sequence, on both sides |

Each check is ok, a caution for the report, or a stop, by the thresholds of `design.data.audit`. A check that would stop
is a caution where `design.data.audit.accept` names it. Texts hold no single label: val and test are sealed.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import chi2

from tmelt.proteins.clean import SPELLINGS, Cleaning, Protein
from tmelt.proteins.columns import plain
from tmelt.proteins.label import MISSING
from tmelt.proteins.organism import may_be_one
from tmelt.proteins.read import Reading
from tmelt.proteins.where import number_in
from tmelt.study.config import Audit, Data
from tmelt.study.target import Target

LEVELS = ("ok", "caution", "accepted", "stop")
DISAGREE = 0.99  # quantile of the repeats' variance under `noise_sd` beyond which a protein's repeats disagree
LEAST_REPEATS = 3  # proteins that must disagree before a table stops: fewer are typing errors
# All repeats together stop if their standard deviation is beyond noise by this factor and significantly (under normal
# noise of `noise_sd` one table in a hundred, before the proteins that spread most are left out).
POOLED_RATIO, POOLED_QUANTILE, TRIMMED = 1.1, 0.99, 0.1
LEAST_DEGREES = 10  # of freedom of all repeats together, below which they are too few
LEAST_TIED, NEIGHBOUR_RATIO = 5, 3  # proteins of one value, and how much more than its neighbours' that must be
LEAST = 20  # proteins below which a distribution says nothing
EXAMPLES = 3


@dataclass(frozen=True)
class Audited:
    """The result of one check."""

    check: str
    level: str  # one of LEVELS
    measured: float | None
    threshold: float
    text: str

    def row(self) -> dict[str, str | float | None]:
        """As a row of audit.parquet."""
        return {
            "check": self.check,
            "level": self.level,
            "measured": self.measured,
            "threshold": self.threshold,
            "text": self.text,
        }


@dataclass(frozen=True)
class Subject:
    """What is audited."""

    proteins: list[Protein]
    reading: Reading
    cleaning: Cleaning
    data: Data
    labels: list[str] | None = None  # split of each protein; None where it could not be made
    families: list[str] | None = None  # cluster of homologues of each protein
    given: bool = False  # the split is the table's own


def audit(subject: Subject) -> list[Audited]:
    """Every check, in the order of the module's table; those that do not apply are left out."""
    found: list[Audited] = []
    for check in CHECKS:
        for result in check(subject, subject.data.audit):
            accepted = result.level == "stop" and result.check in subject.data.audit.accept
            found.append(
                Audited(result.check, "accepted", result.measured, result.threshold, result.text)
                if accepted
                else result
            )
    return found


def stop_line(result: Audited) -> str:
    """What is wrong, and what to do, of a check that stops."""
    return f"label audit, {result.check}: {result.text}; correct it, or set design.data.audit.accept: [{result.check}]"


def _graded(check: str, measured: float, text: str, caution: float | None, stop: float | None) -> Audited:
    """A result that is worse the larger it is; a threshold of None is never passed."""
    if stop is not None and measured > stop:
        return Audited(check, "stop", measured, stop, text)
    if caution is not None and measured > caution:
        return Audited(check, "caution", measured, caution, text)
    return Audited(check, "ok", measured, caution if caution is not None else stop or 0.0, text)


def _falling(check: str, measured: float, text: str, caution: float | None, stop: float | None) -> Audited:
    """A result that is worse the smaller it is."""
    if stop is not None and measured <= stop:
        return Audited(check, "stop", measured, stop, text)
    if caution is not None and measured <= caution:
        return Audited(check, "caution", measured, caution, text)
    return Audited(check, "ok", measured, caution if caution is not None else stop or 0.0, text)


def _tms(subject: Subject) -> np.ndarray:
    return np.array([protein.tm for protein in subject.proteins])


@cache
def _limit(quantile: float, freedom: int) -> float:
    """The quantile of chi-squared with so many degrees of freedom."""
    return float(chi2.ppf(quantile, freedom))


def _repeats(subject: Subject, limits: Audit) -> Iterator[Audited]:
    """Stop if more proteins disagree than noise explains, or if all of them spread a little too far.

    The first finds a few wild types among single measurements; the second finds tables of mutants in which a protein
    by itself has too few rows. The proteins that spread most do not count in the second, so that typing errors do not
    stop a table.
    """
    repeated = [protein for protein in subject.proteins if len(protein.tms) > 1]
    if not repeated:
        return
    squares = np.array([float(np.sum((np.array(one.tms) - np.mean(one.tms)) ** 2)) for one in repeated])
    freedom = np.array([len(protein.tms) - 1 for protein in repeated])
    variance = limits.noise_sd**2
    excess = {
        protein.protein_id: max(protein.tms) - min(protein.tms)
        for protein, square, degrees in zip(repeated, squares, freedom, strict=True)
        if square > variance * _limit(DISAGREE, int(degrees))
    }
    share = len(excess) / len(repeated)
    left_out = max(1, round(TRIMMED * len(repeated))) if len(repeated) > 2 else 0
    kept = np.argsort(squares / freedom)[: len(repeated) - left_out]
    amount = _amount(subject)
    degrees = int(freedom[kept].sum())
    pooled = float(np.sqrt(squares[kept].sum() / degrees)) if degrees else 0.0
    wide = degrees >= LEAST_DEGREES and squares[kept].sum() > variance * max(
        _limit(POOLED_QUANTILE, degrees), POOLED_RATIO**2 * degrees
    )
    if not excess and not wide:
        yield _graded("repeats", 0.0, f"repeats of {len(repeated)} proteins agree", None, limits.repeats_stop)
        return
    if excess:
        widest = sorted(excess, key=lambda name: -excess[name])[:EXAMPLES]
        text = (
            f"repeats of {len(excess)} of {len(repeated)} proteins spread beyond the noise of experiments "
            f"({amount(f'{limits.noise_sd:g}')}), the widest over {amount(f'{excess[widest[0]]:.1f}')} "
            f"({', '.join(widest)}); "
        )
    else:
        spread, noise = amount(f"{pooled:.1f}"), amount(f"{limits.noise_sd:g}")
        text = f"repeats of {len(repeated)} proteins spread by {spread}, noise by {noise}; "
    if "mutation" in subject.reading.found.at:
        text += "other conditions? select rows by design.data.where"
    else:
        text += "mutants under the wild type's sequence? name design.data.columns.mutation"
    many = len(excess) >= LEAST_REPEATS and share > limits.repeats_stop
    yield Audited("repeats", "stop" if many or wide else "caution", share, limits.repeats_stop, text)


def _amount(subject: Subject) -> Callable[[str], str]:
    """Puts the target's unit behind a number."""
    return subject.data.target.record.amount


def _spread(subject: Subject, limits: Audit) -> Iterator[Audited]:
    if len(subject.proteins) < LEAST:
        return
    sd = float(np.std(_tms(subject), ddof=1))
    text = (
        f"the labels of {len(subject.proteins)} proteins have a standard deviation of {_amount(subject)(f'{sd:.2f}')}"
    )
    if sd <= limits.spread_caution:
        text += ": there is hardly anything to predict; is it the right column?"
    yield _falling("spread", sd, text, limits.spread_caution, limits.spread_stop)


def _values(subject: Subject, limits: Audit) -> Iterator[Audited]:
    if len(subject.proteins) < LEAST:
        return
    count = len(set(np.round(_tms(subject), 6)))
    text = f"{count} different labels of {len(subject.proteins)} proteins"
    if count <= limits.values_caution:
        text += ": classes" + (", or temperatures of melting curves?" if subject.data.target.record.is_tm else "?")
    yield _falling("values", float(count), text, limits.values_caution, limits.values_stop)


def _tied(subject: Subject, limits: Audit) -> Iterator[Audited]:
    if len(subject.proteins) < LEAST:
        return
    values, counts = np.unique(np.round(_tms(subject), 6), return_counts=True)
    if len(values) < 2:
        return  # `values` says so
    padded = np.pad(counts, 2)
    beside = np.max([padded[at : at + len(counts)] for at in (0, 1, 3, 4)], axis=0)
    spikes = (counts >= LEAST_TIED) & (counts > NEIGHBOUR_RATIO * beside)
    share = float(counts[spikes].sum() / len(subject.proteins))
    if not spikes.any():
        yield _graded("tied", 0.0, "no label is far more frequent than its neighbours", limits.tied_caution, None)
        return
    ends = [name for name, at in (("lowest", 0), ("highest", -1)) if spikes[at]]
    where = f"at the {' and the '.join(ends)} value: censored at an instrument's limit?" if ends else "inside the range"
    text = f"{share:.0%} of the labels are tied at {int(spikes.sum())} value(s), {where}"
    yield _graded("tied", share, text, limits.tied_caution, limits.tied_stop)


def _censored(subject: Subject, limits: Audit) -> Iterator[Audited]:
    with_label = [record for record in subject.reading.records if record.tm is not None]
    bounds = sum(record.label == "censored" for record in with_label)
    if not bounds:
        return
    extreme = "the most or least stable proteins" if subject.data.target.record.is_tm else "the extreme proteins"
    used = f"dropped, which removes {extreme}"
    if subject.data.labels.censored == "bound":
        used = "used as their bounds, which are too low or too high"
    text = f"{bounds} of {len(with_label)} labels are bounds (such as `> 95`), {used}"
    share = bounds / len(with_label)
    yield _graded("censored", share, text, limits.censored_caution, limits.censored_stop)


def _organism_labels(subject: Subject, limits: Audit) -> Iterator[Audited]:
    groups: dict[str, list[float]] = {}
    for protein in subject.proteins:
        if protein.organism is not None:
            groups.setdefault(protein.organism, []).append(protein.tm)
    large = [np.array(tms) for tms in groups.values() if len(tms) >= 3]
    if len(large) < 2 or sum(map(len, large)) < LEAST:
        return
    freedom = sum(len(tms) - 1 for tms in large)
    sd = float(np.sqrt(sum(float(np.sum((tms - tms.mean()) ** 2)) for tms in large) / freedom))
    plural = subject.data.groups.plural
    text = f"within {plural} the labels have a standard deviation of {_amount(subject)(f'{sd:.2f}')}"
    if sd <= limits.organism_spread_stop:
        of_tm = subject.data.target.record.is_tm and subject.data.groups.is_organism
        text += f": {'growth temperatures' if of_tm else 'one value for each'} of the {plural}?"
    yield _falling("organism_labels", sd, text, None, limits.organism_spread_stop)


def _lengths(subject: Subject, limits: Audit) -> Iterator[Audited]:
    if len(subject.proteins) < LEAST:
        return
    counts = Counter(len(protein.sequence) for protein in subject.proteins)
    length, most = counts.most_common(1)[0]
    share = most / len(subject.proteins)
    longest = max(counts)
    if share > limits.lengths_caution:
        text = f"{share:.0%} of the sequences have {length} residues: cut by an export, or variants of one protein?"
        yield _graded("lengths", share, text, limits.lengths_caution, None)
        return
    cut = counts[longest] / len(subject.proteins)
    text = f"{cut:.1%} of the sequences have the largest length, {longest} residues"
    if counts[longest] >= LEAST_TIED and cut > limits.cut_caution:
        yield _graded("lengths", cut, text + ": cut there by an export?", limits.cut_caution, None)
    else:
        yield Audited("lengths", "ok", cut, limits.cut_caution, text)


def _organisms(subject: Subject, limits: Audit) -> Iterator[Audited]:
    names = sorted({protein.organism for protein in subject.proteins if protein.organism is not None})
    if not names:
        return
    merged: dict[str, str] = {}
    for row in subject.cleaning.rows:
        if row["what"] == SPELLINGS:
            merged[str(row["before"])] = str(row["after"])
    group = subject.data.groups
    pairs = may_be_one(names) if group.is_organism else []
    parts = []
    if merged:
        shown = ", ".join(f"{old!r} as {new!r}" for old, new in sorted(merged.items())[:EXAMPLES])
        parts.append(f"{len(merged)} spellings were unified ({shown})")
    if pairs:
        shown = ", ".join(f"{one!r} and {other!r}" for one, other in pairs[:EXAMPLES])
        parts.append(f"{len(pairs)} pairs may be one organism ({shown}), so that leaving one out may leak")
    unknown = sum(protein.organism is None for protein in subject.proteins)
    if unknown:
        parts.append(f"{unknown} of {len(subject.proteins)} proteins have no {group.name}")
    level = "caution" if parts else "ok"
    text = "; ".join(parts) or f"{len(names)} {group.plural}" + (", each in one spelling" if group.is_organism else "")
    yield Audited("organisms", level, float(len(merged) + len(pairs)), 0.0, text)


def _conditions(subject: Subject, limits: Audit) -> Iterator[Audited]:
    used = {row for protein in subject.proteins for row in protein.rows}
    for name in subject.reading.found.conditions:
        if name in subject.data.where:
            continue
        texts = [
            str(cell).strip()
            for row, cell in subject.reading.cells(name).items()
            if row in used and cell is not None and str(cell).strip().lower() not in MISSING
        ]
        if not texts:
            continue
        if plain(name) == "ph":
            yield from _ph(name, texts, limits, subject.data.target.record)
            continue
        counts = Counter(text.casefold() for text in texts)
        if len(counts) == len(texts) > 1:
            continue  # an identifier, not a condition
        shown = ", ".join(f"{value[:30]} {count}" for value, count in counts.most_common(EXAMPLES))
        text = f"column {name} has {len(counts)} values ({shown})"
        if len(counts) > 1:
            text += ": measured in different ways; select rows by design.data.where"
        yield _graded("conditions", float(len(counts)), text, 1.0, None)


def _ph(name: str, texts: list[str], limits: Audit, target: Target) -> Iterator[Audited]:
    numbers = [number for text in texts if (number := number_in(text)) is not None]
    if not numbers:
        return
    span = max(numbers) - min(numbers)
    text = f"column {name}: pH {min(numbers):g} to {max(numbers):g} in {len(numbers)} rows"
    if span > limits.ph_caution:
        text += f"; {target.plural} depend on it: select rows by design.data.where"
    yield _graded("conditions", span, text, limits.ph_caution, None)


def _leak(subject: Subject, limits: Audit) -> Iterator[Audited]:
    if not subject.given or subject.labels is None or subject.families is None:
        return
    train = {family for family, label in zip(subject.families, subject.labels, strict=True) if label in ("fit", "stop")}
    held_out = [
        family for family, label in zip(subject.families, subject.labels, strict=True) if label not in ("fit", "stop")
    ]
    share = sum(family in train for family in held_out) / max(1, len(held_out))
    same = sum(row["what"] == "one sequence in several splits" for row in subject.cleaning.rows)
    text = f"{share:.0%} of {len(held_out)} proteins of val and test have homologues in train"
    if same:
        text += f"; {same} sequences were in several parts, and stay in the best guarded"
    if share > limits.leak_caution:
        text += ": errors there are too small for new families"
    result = _graded("leak", share, text, limits.leak_caution, limits.leak_stop)
    if same and result.level == "ok":
        result = Audited("leak", "caution", share, limits.leak_caution, text)
    yield result


CHECKS: tuple[Callable[[Subject, Audit], Iterator[Audited]], ...] = (
    _repeats,
    _spread,
    _values,
    _tied,
    _censored,
    _organism_labels,
    _lengths,
    _organisms,
    _conditions,
    _leak,
)
