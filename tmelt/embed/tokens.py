"""Protein sequences as ESM-2 tokens, residue by residue as fair-esm's own batch converter has them."""

from functools import cache

import numpy as np

from tmelt.errors import InputError


@cache
def _table() -> tuple[np.ndarray, int, int]:
    """Token of each of the 256 byte values (the start token: none), and the tokens that start and end a sequence."""
    from esm.data import Alphabet

    alphabet = Alphabet.from_architecture("ESM-1b")
    table = np.full(256, alphabet.cls_idx, dtype=np.uint8)
    for residue in alphabet.standard_toks:
        table[ord(residue)] = alphabet.get_idx(residue)
    return table, alphabet.cls_idx, alphabet.eos_idx


def encode(sequence: str, protein_id: str) -> np.ndarray:
    """The tokens of a protein, start and end token included.

    The 20 amino acids and X, B, U, Z, O, `.` and `-` have tokens. fair-esm skips white space and fails with a KeyError
    on everything else; both would break the one-to-one match of residues and embedding rows, so both are refused.

    Args:
        sequence: amino acids, one upper-case letter each.
        protein_id: for the message.

    Returns:
        uint8 array (L + 2,).

    Raises:
        InputError: the sequence is empty or has a letter without a token.
    """
    table, start, end = _table()
    if not sequence:
        raise InputError(f"protein {protein_id}: empty sequence; drop the protein")
    # A letter beyond Latin-1 becomes "?", which has no token either.
    tokens = table[np.frombuffer(sequence.encode("latin-1", "replace"), dtype=np.uint8)]
    unknown = np.flatnonzero(tokens == start)
    if len(unknown):
        position = int(unknown[0])
        raise InputError(
            f"protein {protein_id}: residue {sequence[position]!r} at position {position + 1} is unknown to ESM-2; "
            "write X for it or drop the protein"
        )
    return np.concatenate([np.uint8([start]), tokens, np.uint8([end])])
