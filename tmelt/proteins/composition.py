"""Amino-acid composition: what a study may grant of a sequence without granting the sequence."""

from collections.abc import Sequence

import numpy as np

from tmelt.proteins.clean import AMINO_ACIDS


def composition(sequences: Sequence[str]) -> np.ndarray:
    """How often each of the 20 amino acids occurs, in the order of AMINO_ACIDS; int32 (n, 20). X counts as none."""
    counts = [[sequence.count(letter) for letter in AMINO_ACIDS] for sequence in sequences]
    return np.array(counts, dtype="<i4").reshape(len(sequences), len(AMINO_ACIDS))
