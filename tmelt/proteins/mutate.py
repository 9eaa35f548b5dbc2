"""The mutations of a table, applied to its sequences.

In mutant tables `sequence` is the wild type's in every row, or it carries the mutation already. Which of the two holds
is seen from the residues: the wild type's residue or the new one stands at the position. Rows in which neither does
are faults, or are dropped and counted (`design.data.labels.mismatched`).
"""

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tmelt.proteins.faults import Faults
from tmelt.proteins.mutation import (
    MutationError,
    Substitution,
    apply_mutations,
    is_applied,
    offset_of,
    parse_mutations,
)
from tmelt.study.config import Data

if TYPE_CHECKING:
    from tmelt.proteins.read import Reading, Record

MISMATCH = "mutation that does not fit the wild type"
# Fewer rows of the other kind than this share are chance (a residue in 20), not a table of both kinds.
OTHER_KIND = 0.1


def mutate(reading: "Reading", cells: dict[str, list[Any] | None], data: Data, faults: Faults) -> None:
    """Apply the mutations to the records of `reading`, name the mutants, and note what was done."""
    column = reading.found.names["mutation"]
    parsed: list[tuple[Substitution, ...] | MutationError] = [_parse(text) for text in _written(cells)]
    wild_types = ["".join(record.sequence.split()).upper() for record in reading.records]
    read = [
        (at, mutations)
        for at, mutations in enumerate(parsed)
        if not isinstance(mutations, MutationError) and mutations and wild_types[at]
    ]
    kinds = Counter(_kind(wild_types[at], mutations) for at, mutations in read)
    least = OTHER_KIND * sum(kinds.values())
    if min(kinds["wild type"], kinds["applied"]) > max(1, least):
        faults.add(
            f"{kinds['applied']} sequences carry their mutation already and {kinds['wild type']} are the wild type's; "
            "give all rows one kind of sequence",
            column=column,
        )
        return
    applied = kinds["applied"] > kinds["wild type"]
    kept: list[Record] = []
    done = 0
    for at, (record, mutations) in enumerate(zip(reading.records, parsed, strict=True)):
        if record.tm is None:  # dropped, whatever its mutation
            kept.append(record)
            continue
        try:
            if isinstance(mutations, MutationError):
                raise mutations
            if not record.sequence or not mutations:
                kept.append(record)
                continue
            if applied and not is_applied(wild_types[at], mutations):
                raise MutationError(
                    "wild type", f"{_spelled(mutations)}: the sequence carries no such residue; correct it"
                )
            sequence = record.sequence if applied else apply_mutations(wild_types[at], mutations)
        except MutationError as error:
            if data.labels.mismatched == "drop":
                reading.set_aside.append((MISMATCH, replace(record, tm=None), str(error).partition(";")[0]))
            else:
                faults.add_row(record.row, column, str(error), error.kind)
                kept.append(record)
            continue
        done += not applied
        name = f"{record.protein_id}_{_spelled(mutations)}"
        kept.append(replace(record, sequence=sequence, protein_id=name, mutation=_spelled(mutations)))
    if not applied:
        _hint_at_offsets(reading.records, wild_types, dict(read), column, faults)
    reading.records = kept
    if done:
        reading.repairs["mutations"] = "applied to the wild type", done


def _written(cells: dict[str, list[Any] | None]) -> list[str]:
    """The mutation of each row as text; FireProtDB's three columns as one."""
    texts = [["" if cell is None else str(cell).strip() for cell in cells[key] or []] for key in cells]
    mutation, position, wild_type = texts
    if not position:
        return mutation
    numbers = [number.removesuffix(".0") for number in position]
    return [
        new if new.lower() in ("wt", "wild-type") else f"{old}{number}{new}"
        for old, number, new in zip(wild_type, numbers, mutation, strict=True)
    ]


def _parse(text: str) -> tuple[Substitution, ...] | MutationError:
    try:
        return parse_mutations(text)
    except MutationError as error:
        return error


def _spelled(mutations: tuple[Substitution, ...]) -> str:
    return "+".join(map(str, mutations))


def _kind(sequence: str, mutations: tuple[Substitution, ...]) -> str:
    try:
        apply_mutations(sequence, mutations)
    except MutationError:
        return "applied" if is_applied(sequence, mutations) else "neither"
    return "wild type"


def _hint_at_offsets(
    records: "list[Record]",
    wild_types: list[str],
    mutations: dict[int, tuple[Substitution, ...]],
    column: str,
    faults: Faults,
) -> None:
    """Say where all numbers of a protein are shifted by one amount, as PDB's are against UniProt's."""
    wrong = {row for fault in faults.found if fault.column == column for row in fault.rows}
    groups: dict[str, list[int]] = {}
    for at in mutations:
        groups.setdefault(wild_types[at], []).append(at)
    for sequence, members in groups.items():
        if not any(records[at].row in wrong for at in members):
            continue
        shift = offset_of(sequence, [mutations[at] for at in members])
        if shift:
            faults.hint(
                column,
                "wild type",
                f"all {len(members)} mutations of {records[members[0]].protein_id!r} would fit if "
                f"{abs(shift)} were {'added to' if shift > 0 else 'subtracted from'} their positions",
            )
