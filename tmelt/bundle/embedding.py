"""New sequences through the bundle's backbone, by the code that embedded the study's, into a view for `predict`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tmelt.embed.embedder import Embedder, Encode, encoder_of, load, precision_of
from tmelt.embed.embedder import embedder_of as ready
from tmelt.embed.imported import IMPORTED, open_source, read_embeddings
from tmelt.embed.shard import choose_device, embedded_passes, to_float16
from tmelt.embed.view import View
from tmelt.errors import InfrastructureError, InputError
from tmelt.host.allocator import keep_freed_memory
from tmelt.proteins.composition import composition
from tmelt.study.config import Backbone

Embed = Callable[[Sequence[str], Sequence[str]], list[np.ndarray]]  # sequences, names -> float16 (L, D) each


def embedder_of(
    about: dict[str, Any], weights: Path | None, embeddings: Path | None, device: str, precision: str
) -> Embed:
    """What embeds new proteins as the study's were: its network, or a file of embeddings.

    Args:
        about: the bundle's `backbone` part.
        weights, device, precision: see `load_embedder`.
        embeddings: of the new proteins, where the study's were imported.

    Raises:
        InputError: see `load_embedder`; or embeddings that are missing or not like the study's.
        InfrastructureError: the download failed.
    """
    imported = about["weights"] == IMPORTED
    if imported != (embeddings is not None):
        raise InputError(
            "--embeddings: needed: the study imported its embeddings; give those of your proteins by the same network"
            if imported
            else "--embeddings: this bundle has a network of its own; leave it out"
        )
    if embeddings is None:
        model, encode = load_embedder(about, weights, device, precision)
        return lambda sequences, names: embed(model, encode, sequences, names)

    def read(sequences: Sequence[str], names: Sequence[str]) -> list[np.ndarray]:
        wanted: dict[str, list[str]] = {}
        for sequence, name in zip(sequences, names, strict=True):
            wanted.setdefault(sequence, []).append(name)
        try:
            with open_source(embeddings, about["layer"] or None) as source:
                found = dict(read_embeddings(source, wanted))
        except InputError as error:
            raise InputError(str(error).replace("design.backbone.path", "--embeddings", 1)) from None
        for sequence, rows in found.items():
            if rows.shape[1] != about["width"] or (len(rows) != len(sequence)) != about["per_protein"]:
                raise InputError(
                    f"--embeddings: {embeddings}: {rows.shape} for {len(sequence)} residues, and the study had "
                    f"{'one row' if about['per_protein'] else 'a row per residue'} of width {about['width']}"
                )
        return [found[sequence] for sequence in sequences]

    return read


def load_embedder(about: dict[str, Any], weights: Path | None, device: str, precision: str) -> tuple[Embedder, Encode]:
    """The bundle's backbone, its weights compared with the study's, and what makes its tokens.

    Args:
        about: the bundle's `backbone` part.
        weights: a file or folder that design.backbone.weights could name; None for what the bundle says: a download, or
            untrained weights from a seed.
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
        precision = precision_of(Backbone(**asked, precision=precision), place)
    except InputError as error:
        raise InputError(f"{error}; give --precision fp32: predictions then differ in their last digits") from None
    try:
        encode, loaded = encoder_of(Backbone(**asked)), load(Backbone(**asked))
    except InfrastructureError as error:
        raise InfrastructureError(f"{error}; or give its place by --weights") from None
    if loaded.weights_sha256 != about["weights_sha256"]:
        where = weights or {"random": f"drawn by torch {torch.__version__}"}.get(about["weights"], "downloaded")
        raise InputError(
            f"backbone.weights: {where}: not the weights that the bundle was made with (SHA-256 of their tensors "
            f"{loaded.weights_sha256[:12]}… instead of {about['weights_sha256'][:12]}…); its torch was {about['torch']}"
        )
    return ready(loaded, precision, place, about["tokens"]), encode


def embed(model: Embedder, encode: Encode, sequences: Sequence[str], names: Sequence[str]) -> list[np.ndarray]:
    """The embedding of each sequence, float16 (L, D); a sequence that comes twice is embedded once."""
    first = dict(zip(reversed(sequences), reversed(names), strict=True))
    tokens = {sequence: encode(sequence, name) for sequence, name in first.items()}
    parts = (to_float16(part, tokens, first, model.layer) for part in embedded_passes(model, tokens))
    found = dict(pair for part in parts for pair in part)
    return [found[sequence] for sequence in sequences]


def write_pool(folder: Path, residues: Sequence[np.ndarray], sequences: Sequence[str], *, with_sequences: bool) -> Path:
    """Write a view as `predict` reads it (tmelt.embed.view), for whichever user the sandbox runs as."""
    View.write(folder, residues, composition(sequences), sequences=sequences if with_sequences else None)
    folder.chmod(0o755)
    return folder
