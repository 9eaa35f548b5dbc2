"""Slightly changed proteins: what a model that predicts hardly notices, and a table that recognises proteins does.

Each chosen protein comes several times: as it is, with noise on its embedding, without one residue, with residues that
resemble each other exchanged in its sequence, and joined to another protein, which makes its mean embedding and its
composition the mean of both. Labels play no part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

PROTEINS = 100  # at most; all variants together have about 6 times their residues
NOISE = 0.05  # of each feature's standard deviation over residues
BLOCK = 10  # residues, one of which changes place where sequences are granted
KINDS = ("same", "noise", "trimmed", "swapped", "joined")

# Pairs with a positive score in BLOSUM62 (Henikoff and Henikoff 1992).
_ALIKE = ("AS", "DE", "DN", "EK", "EQ", "FW", "FY", "HN", "HY", "IL", "IM", "IV", "KQ", "KR", "LM", "LV", "MV", "NS",
          "QR", "ST", "WY")  # fmt: skip
ALIKE: Mapping[str, frozenset[str]] = {
    letter: frozenset(pair.replace(letter, "") for pair in _ALIKE if letter in pair)
    for letter in "ACDEFGHIKLMNPQRSTVWY"
}


@dataclass(frozen=True)
class Variant:
    """One protein as it is predicted again."""

    protein: int  # row of the pool
    kind: str  # of KINDS
    partner: int | None  # row of the protein that it is joined to
    residues: np.ndarray  # float16 (L, D)
    sequence: str


def variants(
    proteins: Sequence[tuple[int, np.ndarray, str]], *, with_sequences: bool, random: np.random.Generator
) -> list[Variant]:
    """Every variant of every protein, the unchanged one first.

    Args:
        proteins: row of the pool, embedding float16 (L, D) and sequence of each; at least two of them.
        with_sequences: the candidate sees them, so exchanges are worth a variant.
        random: what is drawn depends on it alone.
    """
    spread = _spread([residues for _, residues, _ in proteins])
    made: list[Variant] = []
    for place, (row, residues, sequence) in enumerate(proteins):
        noise = random.normal(size=residues.shape).astype(np.float32) * (NOISE * spread)
        made += [
            Variant(row, "same", None, residues, sequence),
            Variant(row, "noise", None, (residues.astype(np.float32) + noise).astype(np.float16), sequence),
        ]
        whole = len(residues) != len(sequence)  # imported embeddings may have one row per protein
        if len(sequence) > 2 and not whole:
            gone = int(random.integers(1, len(sequence) - 1))
            shorter = sequence[:gone] + sequence[gone + 1 :]
            made.append(Variant(row, "trimmed", None, np.delete(residues, gone, axis=0), shorter))
        if with_sequences:
            made.append(Variant(row, "swapped", None, residues, swap_alike(sequence, random)))
        if whole:
            continue
        other, others_residues, others_sequence = proteins[place - 1]  # the order is drawn: any other one will do
        joined = np.concatenate([residues, others_residues])
        made.append(Variant(row, "joined", other, joined, sequence + others_sequence))
    return made


def swap_alike(sequence: str, random: np.random.Generator) -> str:
    """Exchange residues with similar ones elsewhere in the sequence, one in each block of `BLOCK` where possible.

    The composition stays as it is, so a model of the composition sees no change; a key of 10 letters does.
    """
    letters = list(sequence)
    moved: set[int] = set()
    for start in range(0, len(letters), BLOCK):
        block = range(start, min(start + BLOCK, len(letters)))
        if moved.intersection(block):
            continue
        for one in random.permutation(block):
            others = [
                place
                for place, letter in enumerate(letters)
                if place not in moved and letter in ALIKE.get(letters[one], ())
            ]
            if others:
                far = [place for place in others if not moved.intersection(_block_of(place, len(letters)))]
                other = int(random.choice(far or others))
                letters[one], letters[other] = letters[other], letters[one]
                moved |= {int(one), other}
                break
    return "".join(letters)


def _block_of(place: int, length: int) -> range:
    start = place - place % BLOCK
    return range(start, min(start + BLOCK, length))


def _spread(proteins: Sequence[np.ndarray]) -> np.ndarray:
    """Standard deviation of each feature over all residues, float32 (D,)."""
    rows = sum(len(residues) for residues in proteins)
    total = sum(residues.sum(axis=0, dtype=np.float64) for residues in proteins)
    squares = sum((residues.astype(np.float32) ** 2).sum(axis=0, dtype=np.float64) for residues in proteins)
    return np.sqrt(np.maximum(squares / rows - (total / rows) ** 2, 0)).astype(np.float32)
