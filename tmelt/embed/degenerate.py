"""Embeddings that hold no information: of zeroed weights, or of a file that holds something else."""

import numpy as np


def degenerate(residues: np.ndarray, kinds: int) -> str | None:
    """Why an embedding (L, D) cannot come from a working network, or None.

    Args:
        kinds: different residues of the sequence; of one kind alone, rows may be equal.
    """
    if residues.shape[1] > 1 and (residues == residues[:, :1]).all():
        return "all features of every residue are equal"
    if kinds > 1 and (residues == residues[:1]).all():
        return f"all {len(residues)} residues have one and the same embedding"
    return None
