"""Shuffled labels: the impossible study, whose labels have nothing to do with the sequences."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tmelt.proteins.clean import Protein


def shuffled_within(proteins: Sequence[Protein], splits: Sequence[str], seed: int) -> list[Protein]:
    """Return the proteins with their labels permuted within each split.

    Each split keeps the very same labels, so the error of a constant prediction stays what it was.
    """
    generator = np.random.default_rng([seed, len(proteins)])
    tms = [protein.tm for protein in proteins]
    for name in sorted(set(splits)):
        members = [index for index, split in enumerate(splits) if split == name]
        for index, source in zip(members, generator.permutation(members), strict=True):
            tms[index] = proteins[source].tm
    return [replace(protein, tm=tm) for protein, tm in zip(proteins, tms, strict=True)]
