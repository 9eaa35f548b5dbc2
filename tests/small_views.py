"""Views of invented embeddings, as the harness hands them to a candidate."""

from pathlib import Path

import numpy as np

from tmelt.embed.view import View
from tmelt.proteins.composition import composition


def write_view(
    folder: Path, lengths: list[int], width: int = 16, stop: int = 0, labels: bool = True, seed: int = 0
) -> Path:
    """Write a view whose labels can be learnt from the mean embedding; the last `stop` proteins are for stopping."""
    random = np.random.default_rng(seed)
    count = len(lengths)
    signal = random.standard_normal(count)
    direction = np.random.default_rng(99).standard_normal(width)
    residues = random.standard_normal((sum(lengths), width)) + np.repeat(signal, lengths)[:, None] * direction
    letters = random.choice(list("ACDEFGHIKLMNPQRSTVWY"), sum(lengths))
    ends = np.cumsum(lengths)[:-1]
    sequences = ["".join(sequence) for sequence in np.split(letters, ends)]
    known = {"tm": 55 + 9 * signal + random.standard_normal(count), "is_stop": np.arange(count) >= count - stop}
    View.write(
        folder,
        np.split(residues, ends),
        composition(sequences),
        sequences=sequences,
        labels=known if labels else None,
    )
    return folder
