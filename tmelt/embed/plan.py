"""Who embeds what: shares of embedding jobs, and forward passes of at most T tokens."""

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np

from tmelt.errors import InputError

START_AND_END = 2  # tokens that ESM-2 adds to a sequence
STEP = 1024  # a forward pass of a sequence longer than T is a multiple of this


def share(sequences: dict[str, str], shard: int, shards: int) -> dict[str, str]:
    """The sequences that job `shard` of `shards` embeds: a partition, balanced by length.

    It depends on the set of sequences alone, not on their order nor on what a cache holds, so jobs that run at the
    same time never wait for each other. Sequences sorted by length (ties by hash) are dealt out to and fro.

    Args:
        sequences: sequence by its SHA-256.
        shard: 0 to shards - 1.
        shards: number of jobs.

    Returns:
        Part of `sequences`, longest first.

    Raises:
        InputError: no such shard.
    """
    if not 0 <= shard < shards:
        raise InputError(f"shard {shard} of {shards}: shards are numbered from 0")
    order = sorted(sequences, key=lambda key: (-len(sequences[key]), key))
    picked = (
        key
        for position, key in enumerate(order)
        if shard == (position % shards if position // shards % 2 == 0 else shards - 1 - position % shards)
    )
    return {key: sequences[key] for key in picked}


def pass_tokens(length: int, tokens: int) -> int:
    """Tokens of the forward pass that a protein of `length` residues goes through, padding included.

    It depends on nothing but the protein and T: an oneDNN or cuBLAS product rounds differently with another number of
    rows, and a protein's embedding must not depend on its companions.
    """
    needed = length + START_AND_END
    return tokens if needed <= tokens else -(-needed // STEP) * STEP


def batches(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Pack proteins into forward passes of at most `tokens` tokens, a longer one alone, the longest first.

    Best fit in decreasing length: each protein goes to the fullest pass that has room, so little is padding.

    Args:
        lengths: residues per protein.
        tokens: T.

    Returns:
        Positions in `lengths`, one list per pass.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    passes: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (free tokens, number of the pass), ascending
    for position in map(int, order):
        needed = lengths[position] + START_AND_END
        place = bisect_left(free, (needed, -1))
        if place < len(free):
            room, number = free.pop(place)
        else:
            room, number = tokens, len(passes)
            passes.append([])
        passes[number].append(position)
        insort(free, (room - needed, number))
    return passes
