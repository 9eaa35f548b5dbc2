"""Every decision between a table as it was read and the proteins of a study, counted and shown.

| found | decision |
|---|---|
| row outside `where`; further point of a melting curve; unfit mutation | row dropped |
| no label; no sequence | row dropped |
| a label with uncertainty, range or bound | by `labels`: used, row dropped, or stop |
| one organism in several spellings | one spelling |
| lower case, white space, a `*` at the end | repaired |
| a letter beyond the 20 amino acids, a `*` inside | by `nonstandard`: masked as X, row dropped, or stop |
| anything else in a sequence (gaps, digits); DNA | stop: the file is not what it should be |
| more than half of a sequence unknown | row dropped |
| shorter than `length_min`, longer than `length_max` | row dropped |
| most melting temperatures in °F or K, or scaled | stop, with the conversion named |
| single labels outside `target.plausible` | row dropped; above 5 % (and 3 rows): stop |
| one name for different sequences | stop |
| one sequence in several rows | one protein: the first row's name, the mean label, the range shown |
| one sequence in several given splits | the best guarded wins: test, then val, then stop, then train |
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tmelt.proteins.faults import Faults
from tmelt.proteins.organism import one_spelling
from tmelt.proteins.read import Record
from tmelt.proteins.table import Table
from tmelt.proteins.where import CURVE_ROW
from tmelt.study.config import Data
from tmelt.study.target import TM

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
GUARDED = ("test", "select", "val", "stop", "fit", "train")  # of conflicting splits the first wins
ABSURD_SHARE, ABSURD_ROWS = 0.05, 3  # more than this is no slip of the pen
DROPPED = "dropped"
MEASURED_AGAIN = "sequence in several rows"
IN_VAULT = "in the vault"
SPELLINGS = "organism in several spellings"


def absurd(name: str) -> str:
    """How a step that drops labels which are not plausible begins; `name`: of the target."""
    return f"{name} outside"


def wide_range(name: str) -> str:
    """How a step that drops labels which are wide ranges begins."""
    return f"{name} as a range wider than"


def inexact(name: str) -> dict[str, str]:
    """Kinds of labels (tmelt.proteins.label) that are not one number, in words."""
    return {
        "uncertain": f"{name} with an uncertainty",
        "approximate": f"approximate {name}",
        "ranged": f"{name} as a range",
        "censored": f"{name} as a bound",
    }


@dataclass
class Protein:
    """A protein with one sequence and one label, as the study uses it."""

    protein_id: str
    sequence: str
    tm: float  # the label, in the target's unit
    organism: str | None
    split: str | None  # the table's own
    rows: list[int]  # where it was measured
    tms: list[float] = field(default_factory=list)  # of each row
    parent: str | None = None  # what it is a variant of


@dataclass
class Cleaning:
    """What was done, step by step, and to which rows; `name`: of the target."""

    name: str = TM.name
    steps: list[dict[str, int | str]] = field(default_factory=list)
    rows: list[dict[str, int | str]] = field(default_factory=list)

    def add(self, what: str, decision: str, touched: int, left: int) -> None:
        """Count one step; steps that touched nothing are shown as well."""
        self.steps.append(
            {"step": len(self.steps) + 1, "what": what, "decision": decision, "rows": touched, "left": left}
        )

    def touch(self, record: Record, what: str, before: str, after: str) -> None:
        """Show one row that a step touched."""
        self.rows.append(
            {"protein_id": record.protein_id, "row": record.row, "what": what, "before": before, "after": after}
        )

    def hide_labels(self, sealed: Iterable[str], rows: Iterable[int] = ()) -> None:
        """Take the labels of these proteins (val, select and test) and rows out of the table of rows."""
        names, places = set(sealed), set(rows)
        for row in self.rows:
            if row["protein_id"] not in names and row["row"] not in places:
                continue
            what = str(row["what"])
            if what == MEASURED_AGAIN:  # the range is shown, the values are not
                row["before"], row["after"] = IN_VAULT, str(row["after"]).partition(" ")[2]
            elif what.startswith((absurd(self.name), wide_range(self.name))):
                row["before"] = IN_VAULT
            elif what in inexact(self.name).values():
                row["before"], row["after"] = IN_VAULT, DROPPED if row["after"] == DROPPED else IN_VAULT


def clean_records(
    records: list[Record],
    table: Table,
    data: Data,
    *,
    set_aside: Sequence[tuple[str, Record, str]] = (),
    repairs: Mapping[str, tuple[str, int]] | None = None,
    faults: Faults | None = None,
) -> tuple[list[Protein], Cleaning]:
    """Apply every decision of the module's table, in order.

    Args:
        records: the measurements.
        table: where they were read.
        data: the settings.
        set_aside: rows that were not read: the reason, the record without its label, the cell.
        repairs: what the reader found: what it did, and in how many rows.
        faults: where faults are noted, so that all are found; without it the first one stops.

    Returns:
        The proteins, each sequence once, in the order of their first rows; and what was done.

    Raises:
        InputError: a fault that no decision covers, or nothing is left.
    """
    noted = Faults(table.path, table.unit) if faults is None else faults
    target = data.target.record
    cleaning = Cleaning(target.name)
    _count_read(records, set_aside, repairs or {}, cleaning)
    _check_unit([record.tm for record in records if record.tm is not None], data, noted)
    _check_alphabet([record for record in records if record.tm is not None], data, noted)
    records = [record for record in records if record.row not in noted.rows]
    steps = _Steps(records, cleaning)
    drop, repair = steps.drop, steps.repair
    drop(f"no {target.name}", lambda record: "" if record.tm is None else None)
    _apply_label_policy(steps, data, noted)
    repair("white space in the sequence", "removed", lambda sequence: "".join(sequence.split()))
    repair("lower case in the sequence", "upper-cased", str.upper)
    repair("* at the end of the sequence", "removed", lambda sequence: sequence.rstrip("*"))
    drop("no sequence", lambda record: None if record.sequence else "")
    if data.nonstandard == "drop":
        drop("non-standard residues", lambda record: nonstandard(record.sequence) or None)
    elif data.nonstandard == "mask":
        repair("non-standard residues", "masked as X", mask)
    else:
        _refuse_nonstandard(steps.records, data, noted)
        cleaning.add("non-standard residues", "none may be there (nonstandard: stop)", 0, len(steps.records))
    drop(
        "more than half of the sequence unknown",
        lambda record: _residues(record) if 2 * record.sequence.count("X") > len(record.sequence) else None,
    )
    drop(
        f"shorter than {data.length_min} residues",
        lambda record: _residues(record) if len(record.sequence) < data.length_min else None,
    )
    drop(
        f"longer than {data.length_max} residues",
        lambda record: _residues(record) if len(record.sequence) > data.length_max else None,
    )
    low, high = target.plausible
    drop(
        f"{absurd(target.name)} {target.amount(f'{low:g} to {high:g}')}",
        lambda record: None if low <= (record.tm or 0) <= high else f"{record.tm:g}",
    )
    if not steps.records and not noted.found:
        causes = ", ".join(
            f"{s['rows']} × {s['what']}" for s in cleaning.steps if s["rows"] and s["decision"] == DROPPED
        )
        noted.add(f"no row is left after cleaning ({causes}); correct the table or the limits")
    _refuse_shared_names(steps.records, table, data, noted)
    if faults is None:
        noted.stop()
    steps.records = [record for record in steps.records if record.row not in noted.rows]
    if data.groups.is_organism:
        _unify_organisms(steps)
    return _merge(steps.records, cleaning, data), cleaning


def _count_read(
    records: list[Record],
    set_aside: Sequence[tuple[str, Record, str]],
    repairs: Mapping[str, tuple[str, int]],
    cleaning: Cleaning,
) -> None:
    left = len(records) + len(set_aside)
    cleaning.add("rows of the table", "read", left, left)
    for what, count in Counter(what for what, _, _ in set_aside).items():
        left -= count
        cleaning.add(what, DROPPED, count, left)
    for what, record, shown in set_aside:
        if what != CURVE_ROW:  # a long table has ten for each measurement
            cleaning.touch(record, what, shown, DROPPED)
    for what, (decision, count) in repairs.items():
        cleaning.add(what, decision, count, left)


def _apply_label_policy(steps: "_Steps", data: Data, faults: Faults) -> None:
    """Use, drop or refuse labels that are not one number; steps that touched nothing are not shown."""
    target = data.target.record
    words = inexact(target.name)
    wide = f"{wide_range(target.name)} {target.amount(f'{data.labels.range_max:g}')}"
    if any(record.width > data.labels.range_max for record in steps.records):
        steps.drop(wide, lambda record: record.shown if record.width > data.labels.range_max else None)
    policies = {
        "uncertain": data.labels.uncertain,
        "approximate": data.labels.uncertain,
        "ranged": data.labels.ranged,
        "censored": data.labels.censored,
    }
    for kind, policy in policies.items():
        touched = [record for record in steps.records if record.label == kind]
        if not touched:
            continue
        if policy == "drop":
            steps.drop(words[kind], lambda record, kind=kind: record.shown if record.label == kind else None)
            continue
        key = "uncertain" if kind == "approximate" else kind
        for record in touched:
            if policy == "stop":
                what = f"{record.shown!r} is {kind}; correct it, or set design.data.labels.{key}"
                faults.add_row(record.row, data.columns.tm, what, kind)
            else:
                steps.cleaning.touch(record, words[kind], record.shown, f"{record.tm:g}")
        steps.cleaning.add(words[kind], f"used as its {policy}", len(touched), len(steps.records))


def _unify_organisms(steps: "_Steps") -> None:
    """Give each organism one spelling; a step only where there were several."""
    counts = Counter(record.organism for record in steps.records if record.organism is not None)
    spelling = one_spelling(counts)
    touched = 0
    for at, record in enumerate(steps.records):
        if record.organism is not None and spelling[record.organism] != record.organism:
            touched += 1
            steps.cleaning.touch(record, SPELLINGS, record.organism, spelling[record.organism])
            steps.records[at] = replace(record, organism=spelling[record.organism])
    if touched:
        steps.cleaning.add(SPELLINGS, "the most frequent one", touched, len(steps.records))


class _Steps:
    """Records on their way through the steps that drop or repair them one by one, each noted in `cleaning`."""

    def __init__(self, records: Iterable[Record], cleaning: Cleaning):
        self.records, self.cleaning = list(records), cleaning

    def drop(self, what: str, condition: Callable[[Record], str | None]) -> None:
        """Drop the records of which `condition` says something to show."""
        kept = []
        for record in self.records:
            shown = condition(record)
            if shown is None:
                kept.append(record)
            else:
                self.cleaning.touch(record, what, shown, DROPPED)
        self.cleaning.add(what, DROPPED, len(self.records) - len(kept), len(kept))
        self.records = kept

    def repair(self, what: str, decision: str, change: Callable[[str], str]) -> None:
        """Put what `change` makes of each sequence in its place."""
        touched = 0
        for at, record in enumerate(self.records):
            changed = change(record.sequence)
            if changed != record.sequence:
                touched += 1
                self.cleaning.touch(record, what, *_difference(record.sequence, changed))
                self.records[at] = replace(record, sequence=changed)
        self.cleaning.add(what, decision, touched, len(self.records))


def _difference(before: str, after: str) -> tuple[str, str]:
    """The two texts if they are short, else a window around their first difference."""
    if len(before) <= 60:
        return before, after
    at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    window = slice(max(0, at - 10), at + 10)
    return f"residue {at + 1}: {before[window]}", f"residue {at + 1}: {after[window]}"


def _residues(record: Record) -> str:
    return f"{len(record.sequence)} residues, {record.sequence.count('X')} unknown"


def nonstandard(sequence: str) -> str:
    """The letters beyond the 20 amino acids, in order of the alphabet."""
    return "".join(sorted(set(sequence) - set(AMINO_ACIDS)))


def mask(sequence: str) -> str:
    """The sequence with X for every letter beyond the 20 amino acids."""
    for letter in nonstandard(sequence):
        sequence = sequence.replace(letter, "X")
    return sequence


def _refuse_nonstandard(records: list[Record], data: Data, faults: Faults) -> None:
    for record in records:
        if letters := nonstandard(record.sequence):
            at = record.sequence.index(letters[0]) + 1
            what = f"residue {at} is {letters[0]!r}; correct it, or set design.data.nonstandard to mask or drop"
            faults.add_row(record.row, _sequence_column(data), what, "nonstandard")


def _sequence_column(data: Data) -> str:
    return "sequence (from design.data.fasta)" if data.fasta else str(data.columns.sequence)


def _check_alphabet(records: list[Record], data: Data, faults: Faults) -> None:
    """Note what is no amino-acid sequence at all: gaps, digits, nucleotides."""
    column = _sequence_column(data)
    for record in records:
        text = "".join(record.sequence.split())
        odd = next((c for c in text if not ("A" <= c <= "Z" or "a" <= c <= "z" or c == "*")), None)
        if odd is not None:
            remedy = "remove the gaps of the alignment" if odd in "-.~" else "write amino acids in one-letter code"
            what = f"{odd!r} at position {text.index(odd) + 1} is no residue; {remedy}"
            faults.add_row(record.row, column, what, "gap" if odd in "-.~" else "residue")
    texts = [record.sequence.strip().upper() for record in records if record.sequence]
    nucleotides = [set(text) <= set("ACGTUN") for text in texts]
    if texts and sum(nucleotides) > len(texts) / 2:
        faults.add_row(records[0].row, column, "looks like DNA or RNA; translate it to amino acids")


def _check_unit(tms: list[float], data: Data, faults: Faults) -> None:
    """Note a column that is not in the target's unit, by what most of its values are."""
    column = data.columns.tm
    if not tms:
        if not faults.found:
            faults.add(f"holds no value; fill it in, or set {data.column_key('tm')}", column=column)
        return
    values = np.array(tms)
    target = data.target.record
    low, high = target.plausible
    outside = np.flatnonzero((values < low) | (values > high))
    what = _other_unit(values) if target.is_tm else None
    if what is None and len(outside) >= ABSURD_ROWS and len(outside) > ABSURD_SHARE * len(values):
        what = (
            f"{len(outside)} of {len(values)} values lie outside {target.amount(f'{low:g} to {high:g}')} "
            f"(the first is {values[outside[0]]:g}): mixed units? convert them, or set design.data.target.plausible"
        )
    if what:
        faults.add(what, column=column)


def _other_unit(values: np.ndarray) -> str | None:
    """What a column of melting temperatures looks like that is not in °C.

    Proteins melt between about 25 and 110 °C: 77 to 230 °F, 298 to 383 K. A median above 100 cannot be °C.
    """
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    shown = f"(median {middle:.4g}, 90 % between {low:.4g} and {high:.4g})"
    if low > 270 and high < 400:
        return f"looks like Kelvin {shown}; subtract 273.15"
    if low > 70 and middle > 100 and high < 250:
        return f"looks like °F {shown}; convert it: (°F − 32) / 1.8"
    if len(values) >= 3 and values.min() >= 0 and values.max() <= 1:
        return f"looks scaled to 0–1 {shown}; undo the scaling, the study works in °C"
    if len(values) >= 3 and low < 0 < high and np.abs(values).max() < 10:
        return f"looks like z-scores or differences {shown}; give melting temperatures in °C"
    return None


def _refuse_shared_names(records: list[Record], table: Table, data: Data, faults: Faults) -> None:
    first: dict[str, Record] = {}
    for record in records:
        other = first.setdefault(record.protein_id, record)
        if other.sequence != record.sequence:
            what = (
                f"{record.protein_id!r} names another sequence in {table.unit} {other.row}; rename one of them, "
                "or set design.data.columns.protein_id to null to have names made"
            )
            faults.add_row(record.row, str(data.columns.protein_id), what, "name")


def _merge(records: list[Record], cleaning: Cleaning, data: Data) -> list[Protein]:
    """One protein per sequence."""
    target, plural = data.target.record, data.groups.plural
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.sequence, []).append(record)
    proteins, conflicts, repeated = [], 0, 0
    for sequence, group in groups.items():
        tms = [record.tm for record in group if record.tm is not None]
        splits = {record.split for record in group if record.split is not None}
        organisms = {record.organism for record in group if record.organism is not None}
        split = min(splits, key=GUARDED.index, default=None)
        organism = next((record.organism for record in group if record.organism is not None), None)
        parents = {record.parent for record in group}
        parent = parents.pop() if len(parents) == 1 else None  # of several parents it is a variant of none
        rows = [record.row for record in group]
        protein = Protein(group[0].protein_id, sequence, float(np.mean(tms)), organism, split, rows, tms, parent)
        proteins.append(protein)
        if len(group) > 1:
            repeated += len(group) - 1
            spread = f"{protein.tm:.2f} (range {target.amount(f'{max(tms) - min(tms):.2f}')} of {len(tms)})"
            cleaning.touch(group[0], MEASURED_AGAIN, "; ".join(f"{tm:g}" for tm in tms), spread)
            names = [record.protein_id for record in group]
            if len(set(names)) > 1:
                cleaning.touch(group[0], "several names of one sequence", "; ".join(names), names[0])
            if len(organisms) > 1:
                cleaning.touch(
                    group[0], f"several {plural} of one sequence", "; ".join(sorted(organisms)), organism or ""
                )
        if len(splits) > 1:
            conflicts += 1
            cleaning.touch(group[0], "one sequence in several splits", "; ".join(sorted(splits)), split or "")
    cleaning.add(MEASURED_AGAIN, "averaged to one protein", repeated, len(proteins))
    cleaning.add(
        "one sequence in several splits", "to the best guarded: test, val, stop, train", conflicts, len(proteins)
    )
    return proteins
