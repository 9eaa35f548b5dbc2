"""Proteins in parts whose embeddings fit into memory."""

from collections.abc import Iterator, Sequence

RESIDUES_AT_ONCE = 200_000  # of embeddings in memory: 256 MB at ESM-2 150M's 640 features


def chunks(lengths: Sequence[int], most: int = RESIDUES_AT_ONCE) -> Iterator[slice]:
    """Cut proteins into runs of at most so many residues, in order; a longer protein is a run of its own.

    Args:
        lengths: residues of each protein.
        most: residues of a run.
    """
    start, held = 0, 0
    for place, length in enumerate(lengths):
        if place > start and held + length > most:
            yield slice(start, place)
            start, held = place, 0
        held += length
    if start < len(lengths):
        yield slice(start, len(lengths))
