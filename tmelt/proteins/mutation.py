"""Mutations in the notations of mutant tables, applied to a wild type and checked against it.

| notation | example |
|---|---|
| one-letter code, with or without a chain | `A123G`, `AA123G` (chain A) |
| HGVS, three letters | `p.Ala123Gly` |
| several | `A123G/L45P`, with any of `/ , ; : + _ & |` or a blank between them |
| the wild type | `WT`, `wild-type`, `p.=` |
| ProThermDB | `A104H (Based on UniProt and PDB)` |
"""

import re
from typing import NamedTuple

from tmelt.proteins.label import MISSING

_THREE_LETTERS = (
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE",
    "LEU", "LYS", "MET", "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL",
)  # fmt: skip
THREE = dict(zip(_THREE_LETTERS, "ARNDCQEGHILKMFPSTWYV", strict=True))
WILD_TYPES = {"wt", "wild-type", "wildtype", "wild type", "wild_type", "p.=", "none (wt)", "native"}
ONE_LETTER = re.compile(r"([A-Z])([0-9]+)([A-Z*])")
WITH_CHAIN = re.compile(r"[A-Za-z0-9]:?([A-Z])([0-9]+)([A-Z])")
THREE_LETTER = re.compile(r"(?:p\.)?\(?([A-Za-z]{3})([0-9]+)([A-Za-z]{3})\)?")
BETWEEN = re.compile(r"[\s/,;:+_&|]+")
BASED_ON = re.compile(r"\s*\([^()]*\)\s*$")
AMINO_ACIDS = set("ACDEFGHIKLMNPQRSTVWY")


class Substitution(NamedTuple):
    """One residue replaced by another."""

    before: str
    position: int  # counted from 1
    after: str

    def __str__(self) -> str:
        return f"{self.before}{self.position}{self.after}"


class MutationError(ValueError):
    """A mutation that cannot be read, or does not fit its wild type; `kind` groups such rows."""

    def __init__(self, kind: str, what: str):
        super().__init__(what)
        self.kind = kind


def parse_mutations(text: str) -> tuple[Substitution, ...]:
    """The substitutions that a cell names; empty for the wild type.

    Raises:
        MutationError: another notation, an insertion or deletion, or two substitutions of one position.
    """
    plain = " ".join(text.split())
    if plain.lower() in MISSING:
        raise MutationError("empty", "is empty; write WT for the wild type")
    if plain.lower() in WILD_TYPES or BASED_ON.sub("", plain).lower() in WILD_TYPES:
        return ()
    if whole := THREE_LETTER.fullmatch(plain):
        words = [whole.group()]
    else:
        without = plain if plain.startswith("p.(") else BASED_ON.sub("", plain)
        words = [word for word in BETWEEN.split(_join_chains(without)) if word]
    found = [_substitution(word, plain) for word in words]
    positions = [one.position for one in found]
    if len(set(positions)) != len(positions):
        raise MutationError("twice", f"{plain[:40]!r} changes one position twice; correct it")
    return tuple(found)


def _join_chains(text: str) -> str:
    """The text with `A:V123G` (chain, colon) as `AV123G`."""
    return re.sub(r"(?<![A-Za-z0-9])([A-Za-z0-9]):(?=[A-Z][0-9]+[A-Z])", r"\1", text)


def _substitution(word: str, whole: str) -> Substitution:
    if found := ONE_LETTER.fullmatch(word):
        before, position, after = found.groups()
    elif found := THREE_LETTER.fullmatch(word):
        before, after = (THREE.get(found.group(at).upper(), "") for at in (1, 3))
        position = found.group(2)
    elif found := WITH_CHAIN.fullmatch(word):
        before, position, after = found.groups()
    else:
        before = after = position = ""
    if before not in AMINO_ACIDS or after not in AMINO_ACIDS:
        raise MutationError(
            "notation",
            f"{whole[:40]!r} is no substitution such as A123G; only substitutions can be applied: write the mutated "
            "sequence instead, or set design.data.labels.mismatched to drop, or design.data.columns.mutation to null",
        )
    return Substitution(before, int(position), after)


def apply_mutations(sequence: str, mutations: tuple[Substitution, ...]) -> str:
    """The mutated sequence.

    Raises:
        MutationError: the wild type has another residue at a position, or no such position.
    """
    letters = list(sequence)
    for one in mutations:
        if not 1 <= one.position <= len(sequence):
            raise MutationError("wild type", f"{one}: the sequence has {len(sequence)} residues; {_remedy()}")
        if letters[one.position - 1] != one.before:
            there = letters[one.position - 1]
            raise MutationError("wild type", f"{one}: the sequence has {there} at position {one.position}; {_remedy()}")
        letters[one.position - 1] = one.after
    return "".join(letters)


def _remedy() -> str:
    return "number as in the sequence, or set design.data.labels.mismatched to drop"


def is_applied(sequence: str, mutations: tuple[Substitution, ...]) -> bool:
    """Whether the sequence has the new residue at every position already."""
    return all(
        one.position <= len(sequence) and sequence[one.position - 1] == one.after for one in mutations if one.position
    )


def offset_of(sequence: str, mutations: list[tuple[Substitution, ...]]) -> int | None:
    """The one shift of numbers that makes the wild-type residues of all these mutations fit; None if several or none.

    Args:
        sequence: of the wild type.
        mutations: of several rows of one protein; fewer than four substitutions say too little.
    """
    known = {one for row in mutations for one in row}
    if len({one.position for one in known}) < 4:
        return None
    shifts = [
        shift
        for shift in range(1 - max(one.position for one in known), len(sequence))
        if all(
            1 <= one.position + shift <= len(sequence) and sequence[one.position + shift - 1] == one.before
            for one in known
        )
    ]
    return shifts[0] if len(shifts) == 1 else None
