"""New sequences through the bundle's backbone, by the code that embedded the study's, into a view for `predict`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tmelt.allocator import keep_freed_memory
from tmelt.config import Backbone
from tmelt.embed.backbone import load_backbone
from tmelt.embed.forward import PackedESM2, choose_precision
from tmelt.embed.shard import choose_device, embedded_passes, to_float16
from tmelt.embed.tokens import encode
from tmelt.embed.view import View
from tmelt.errors import InfrastructureError, InputError
from tmelt.proteins.composition import composition


def load_embedder(about: dict[str, Any], weights: Path | None, device: str, precision: str) -> PackedESM2:
    """The bundle's backbone, its weights compared with the study's.

    Args:
        about: the bundle's `backbone` part.
        weights: a checkpoint of fair-esm; None for what the bundle says: a download, or untrained weights from a seed.
        device: cpu or cuda.
        precision: fp32 or bf16, of the matrix products.

    Raises:
        InputError: weights that are missing or are not the study's, or a device or precision that this machine lacks.
        InfrastructureError: the download failed.
    """
    keep_freed_memory()
    try:
        place = choose_device(device)
    except InfrastructureError:
        raise InputError(
            "--device: torch finds no GPU here; give --device cpu --precision fp32: predictions then differ in their "
            "last digits"
        ) from None
    try:
        precision = choose_precision(precision, place)
    except InputError as error:
        raise InputError(f"{error}; give --precision fp32: predictions then differ in their last digits") from None
    asked = {key: about[key] for key in ("name", "weights", "seed", "layer")}
    if weights is not None:
        if about["untrained"]:
            raise InputError(
                "--weights: this bundle's backbone is untrained, its weights are drawn from a seed; leave it out"
            )
        asked["weights"] = str(weights)
    elif about["weights"] == "file":
        raise InputError(f"--weights: needed: the study took {about['name']} from a file of its own, {about['file']}")
    try:
        loaded = load_backbone(Backbone(**asked))
    except InfrastructureError as error:
        raise InfrastructureError(f"{error}; or give its place by --weights") from None
    if loaded.weights_sha256 != about["weights_sha256"]:
        where = weights or {"random": f"drawn by torch {torch.__version__}"}.get(about["weights"], "downloaded")
        raise InputError(
            f"backbone.weights: {where}: not the weights that the bundle was made with (SHA-256 of their tensors "
            f"{loaded.weights_sha256[:12]}… instead of {about['weights_sha256'][:12]}…); its torch was {about['torch']}"
        )
    return PackedESM2(loaded, precision, place, about["tokens"])


def embed(model: PackedESM2, sequences: Sequence[str], names: Sequence[str]) -> list[np.ndarray]:
    """The embedding of each sequence, float16 (L, D); a sequence that comes twice is embedded once."""
    first = dict(zip(reversed(sequences), reversed(names), strict=True))
    tokens = {sequence: torch.from_numpy(encode(sequence, name)) for sequence, name in first.items()}
    found = dict(pair for part in embedded_passes(model, tokens) for pair in to_float16(part, first, model.layer))
    return [found[sequence] for sequence in sequences]


def write_pool(folder: Path, residues: Sequence[np.ndarray], sequences: Sequence[str], *, with_sequences: bool) -> Path:
    """Write a view as `predict` reads it (tmelt.embed.view), for whichever user the sandbox runs as."""
    View.write(folder, residues, composition(sequences), sequences=sequences if with_sequences else None)
    folder.chmod(0o755)
    return folder
