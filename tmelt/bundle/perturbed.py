"""Predictions of a confirmed candidate for slightly changed proteins, by its kept checkpoints."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tmelt.bundle.write import Checkpoints, checkpoints_of, confirmed_ensemble
from tmelt.embed.view import View
from tmelt.errors import InputError
from tmelt.harness.checkpoint import Unkeepable
from tmelt.harness.perturbation import PROTEINS, Variant, variants
from tmelt.harness.run import Harness
from tmelt.search.history import Proposal
from tmelt.storage.schema import HIDDEN, POOL, read_table


def perturbed_predictions(
    proposal: Proposal, candidate: str, seeds: Sequence[int], harness: Harness, journal: Path, cores: int
) -> list[dict[str, Any]]:
    """Predict every variant of some val, select and test proteins in the study's sandbox.

    The proteins and their variants are the same for every candidate of a study.

    Args:
        seeds: of the candidate's confirmed runs that ended ok.
        harness, journal, cores: as for the confirmation.

    Returns:
        Rows of tmelt.evidence.schema.PERTURBED; a single one with a note where nothing can be predicted.

    Raises:
        InfrastructureError: the sandbox failed.
    """
    if not seeds:
        return [_note(candidate, "no fresh seed ended ok")]
    random = np.random.default_rng(0)
    names, made = _variants(harness, random)
    try:
        checkpoints = checkpoints_of(proposal, candidate, seeds, harness, journal, cores)
        found = _predict(proposal, checkpoints, harness, made)
    except Unkeepable as fault:
        return [_note(candidate, f"its checkpoint cannot be kept: {fault}")]
    except CandidateFault as fault:
        return [_note(candidate, f"it failed on changed proteins: {fault}")]
    return [
        {
            "candidate": candidate,
            "seed": seed,
            "protein_id": names[variant.protein],
            "kind": variant.kind,
            "partner": None if variant.partner is None else names[variant.partner],
            "prediction": float(value),
            "note": None,
        }
        for seed, values in zip(checkpoints, found, strict=True)
        for variant, value in zip(made, values, strict=True)
    ]


class CandidateFault(Exception):
    """The candidate gave no finite number for each protein."""


def _variants(harness: Harness, random: np.random.Generator) -> tuple[list[str], list[Variant]]:
    """Names by row of the pool, and the variants in an order that tells nothing."""
    pool = read_table(harness.embedding / "pool.parquet", POOL)
    view = View.open(harness.embedding / "pool", sequences=True)
    hidden = np.flatnonzero(pool["role"].is_in(HIDDEN).to_numpy())
    rows = [int(row) for row in random.permutation(hidden)[:PROTEINS]]
    proteins = [(row, np.asarray(view.protein(row)), view.letters(row)) for row in rows]
    made = variants(proteins, with_sequences=harness.sequences == "all", random=random)
    return pool["protein_id"].to_list(), [made[place] for place in random.permutation(len(made))]


def _predict(proposal: Proposal, checkpoints: Checkpoints, harness: Harness, made: Sequence[Variant]) -> np.ndarray:
    """Predictions in target units, (seeds, variants)."""
    with confirmed_ensemble(proposal, checkpoints, harness) as ensemble:
        try:
            return ensemble.predict([variant.residues for variant in made], [variant.sequence for variant in made])
        except InputError as fault:  # of the script: the study's own files were read before
            raise CandidateFault(str(fault)) from None


def _note(candidate: str, note: str) -> dict[str, Any]:
    blank = dict.fromkeys(("seed", "protein_id", "kind", "partner", "prediction"))
    return {"candidate": candidate, **blank, "note": note}
