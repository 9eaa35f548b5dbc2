"""Views of invented embeddings, as the harness hands them to a candidate."""

from pathlib import Path

import numpy as np

from tmelt.proteins.composition import composition


def write_view(
    folder: Path, lengths: list[int], width: int = 16, stop: int = 0, labels: bool = True, seed: int = 0
) -> Path:
    """Write a view whose labels can be learnt from the mean embedding; the last `stop` proteins are for stopping."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    count = len(lengths)
    signal = random.standard_normal(count)
    direction = np.random.default_rng(99).standard_normal(width)
    residues = random.standard_normal((sum(lengths), width)) + np.repeat(signal, lengths)[:, None] * direction
    residues.astype("<f2").tofile(folder / "residues.f16")
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]).astype("<i8"))
    letters = random.choice(list("ACDEFGHIKLMNPQRSTVWY"), sum(lengths))
    sequences = np.split(letters, np.cumsum(lengths)[:-1])
    (folder / "sequences.txt").write_text("".join("".join(sequence) + "\n" for sequence in sequences))
    np.save(folder / "composition.npy", composition(["".join(sequence) for sequence in sequences]))
    if labels:
        np.save(folder / "tm.npy", 55 + 9 * signal + random.standard_normal(count))
        np.save(folder / "is_stop.npy", np.arange(count) >= count - stop)
    return folder
