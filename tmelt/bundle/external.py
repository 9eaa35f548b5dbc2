"""An external test set, embedded as the study's proteins were, and predicted by the kept checkpoints of candidates.

Nothing here reads a label.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from tmelt.bundle.embedding import embedder_of
from tmelt.bundle.facts import backbone_facts
from tmelt.bundle.write import checkpoints_of, confirmed_ensemble
from tmelt.embed.chunks import chunks
from tmelt.embed.view import View
from tmelt.errors import InputError
from tmelt.harness.checkpoint import Unkeepable
from tmelt.harness.run import Harness
from tmelt.proteins.composition import composition
from tmelt.search.history import Proposal
from tmelt.storage.files import sha256_file, write_json
from tmelt.study.config import Backbone
from tmelt.study.protocol_record import Protocol

EMBEDDING = "embedding"  # folder of the view, in the set's
EMBEDDED = "embedding.json"


def embed_external(
    name: str,
    proteins: pl.DataFrame,
    backbone: Backbone,
    protocol: Protocol,
    embeddings: Path | None,
    threads: int,
    folder: Path,
) -> None:
    """Write the view of an external set, and embedding.json last.

    Args:
        name: of the set.
        proteins: tmelt.evidence.schema.EXTERNAL_PROTEINS.
        backbone: as in the study's config.
        embeddings: of the set's proteins, where the study imports its own; None: they are where the study's are.
        threads: of torch.
        folder: results/{study}/external/{set}.

    Raises:
        InputError: weights or embeddings are not the study's, or lack a protein.
        InfrastructureError: the device or the download failed.
    """
    torch.set_num_threads(threads)
    about = backbone_facts(backbone, protocol)
    weights = Path(backbone.weights) if about["weights"] == "file" else None
    given = embeddings or (Path(backbone.path) if backbone.path else None)
    sequences, names = proteins["sequence"].to_list(), proteins["protein_id"].to_list()
    try:
        embed = embedder_of(about, weights, given, protocol.design.device, about["precision"])

        def residues() -> Iterator[np.ndarray]:
            for part in chunks([len(sequence) for sequence in sequences]):
                yield from embed(sequences[part], names[part])

        (folder / EMBEDDED).unlink(missing_ok=True)
        View.write(folder / EMBEDDING, residues(), composition(sequences), sequences=sequences, durable=True)
    except InputError as error:
        key = f"design.external.{name}.embeddings"
        raise InputError(
            str(error).replace("--embeddings", key).replace("--weights", "design.backbone.weights")
        ) from None
    hashes = {path.name: sha256_file(path) for path in sorted((folder / EMBEDDING).iterdir())}
    write_json(folder / EMBEDDED, {"proteins": len(names), "weights_sha256": about["weights_sha256"], "files": hashes})


def external_predictions(
    proposal: Proposal,
    candidate: str,
    seeds: Sequence[int],
    harness: Harness,
    journal: Path,
    cores: int,
    folder: Path,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Predict an external set in the study's sandbox, its proteins in an order that tells nothing.

    Args:
        seeds: of the candidate's confirmed runs that ended ok.
        harness, journal, cores: as for the confirmation.
        folder: of the set.
        names: of its proteins, in the order of the view.

    Returns:
        Rows of tmelt.evidence.schema.EXTERNAL_PREDICTED; a single one with a note where nothing can be predicted.

    Raises:
        InfrastructureError: the sandbox failed.
    """
    if not seeds:
        return [_note(candidate, "no fresh seed ended ok")]
    view = View.open(folder / EMBEDDING, sequences=True)
    order = np.random.default_rng(0).permutation(len(names))
    try:
        checkpoints = checkpoints_of(proposal, candidate, seeds, harness, journal, cores)
    except Unkeepable as fault:
        return [_note(candidate, f"its checkpoint cannot be kept: {fault}")]
    with confirmed_ensemble(proposal, checkpoints, harness) as ensemble:
        try:
            found = ensemble.predict([view.protein(row) for row in order], [view.letters(row) for row in order])
        except InputError as fault:  # of the script: the study's own files were read before
            return [_note(candidate, f"it failed on this set: {fault}")]
    return [
        {"candidate": candidate, "seed": seed, "protein_id": names[row], "prediction": float(value), "note": None}
        for seed, values in zip(checkpoints, found, strict=True)
        for row, value in sorted(zip(order.tolist(), values, strict=True))
    ]


def _note(candidate: str, note: str) -> dict[str, Any]:
    return {"candidate": candidate, "seed": None, "protein_id": None, "prediction": None, "note": note}
