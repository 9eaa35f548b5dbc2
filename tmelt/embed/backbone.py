"""Load a frozen ESM-2 (fair-esm's own class): downloaded, from a file or folder (checkpoint.py), or untrained.

fair-esm 2.0.0 predates torch's `weights_only` loading and insists on a contact-regression file; what is done here
instead needs neither, and maps the file into memory instead of reading it twice.
"""

import argparse
import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tmelt.embed.checkpoint import Weights, check_tensors, first_line, read_weights
from tmelt.embed.released import is_released
from tmelt.embed.settings import ARCHITECTURES
from tmelt.errors import InfrastructureError, InputError
from tmelt.storage.files import sha256_file
from tmelt.study.config import Backbone

if TYPE_CHECKING:
    from esm.model.esm2 import ESM2

CHECKPOINT_URL = "https://dl.fbaipublicfiles.com/fair-esm/models/{name}.pt"


@dataclass(frozen=True)
class LoadedBackbone:
    """A frozen ESM-2 and where its weights come from."""

    name: str
    model: "ESM2"
    layer: int
    weights_sha256: str
    untrained: bool
    released: bool  # the file is known as the one that ESM-2's authors published


def load_backbone(backbone: Backbone) -> LoadedBackbone:
    """Load the network that `backbone` names, in fp32 on the CPU.

    Raises:
        InputError: unknown name, no such layer, or a file that is missing, damaged or of another architecture.
        InfrastructureError: the download failed.
    """
    if backbone.name not in ARCHITECTURES:
        raise InputError(f"design.backbone.name: {backbone.name!r} is unknown; one of {', '.join(ARCHITECTURES)}")
    layers = ARCHITECTURES[backbone.name][0]
    layer = layers if backbone.layer is None else backbone.layer
    if layer > layers:
        raise InputError(
            f"design.backbone.layer: {layer}, but {backbone.name} has layers 0 to {layers}; null is the last"
        )
    released = False
    if backbone.weights == "random":
        model = _random_model(backbone.name, backbone.seed)
    else:
        download = backbone.weights == "download"
        place = _downloaded(backbone.name) if download else Path(os.path.expanduser(backbone.weights))  # noqa: PTH111
        weights = read_weights(place, backbone.name, ARCHITECTURES[backbone.name])
        hashes = [sha256_file(file) for file in weights.files]
        released = is_released(backbone.name, hashes)
        _check_identity(backbone, place, hashes, released)
        model = _checkpoint_model(backbone.name, weights, place)
    model = model.eval().requires_grad_(False)
    untrained = backbone.weights == "random"
    return LoadedBackbone(backbone.name, model, layer, weights_hash(model), untrained, released)


def _check_identity(backbone: Backbone, place: Path, hashes: list[str], released: bool) -> None:
    """Compare a file with what the config says it is.

    Raises:
        InputError: a download that is not the released file, or a file with another hash than the config's.
    """
    if backbone.weights == "download" and not released:
        raise InputError(
            f"design.backbone.weights: {place}: not the released {backbone.name} (its SHA-256 is {hashes[0][:12]}…); "
            "delete it to fetch it again, or name the file in design.backbone.weights to use it as other weights"
        )
    if backbone.sha256 is not None and hashes != [backbone.sha256]:
        found = f"its SHA-256 is {hashes[0]}" if len(hashes) == 1 else f"its weights are in {len(hashes)} files"
        raise InputError(f"design.backbone.sha256: {place}: {found}, not {backbone.sha256}; correct one of the two")


def weights_hash(model: torch.nn.Module) -> str:
    """Hexadecimal SHA-256 over names, types, shapes and values of the tensors that embeddings depend on.

    Contact and language-model heads do not count: the same backbone has the same hash with and without them.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not name.startswith(("contact_head.", "lm_head.")):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()


def _random_model(name: str, seed: int) -> "ESM2":
    """ESM-2's architecture under its own initialisation; leaves torch's random state alone."""
    from esm.model.esm2 import ESM2

    layers, width, heads = ARCHITECTURES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ESM2(num_layers=layers, embed_dim=width, attention_heads=heads)


def download_place(name: str) -> Path:
    """Return where fair-esm keeps a downloaded checkpoint; it need not be there yet.

    Raises:
        InputError: there is no such download.
    """
    if name == "tiny":
        raise InputError("design.backbone.weights: `tiny` was never trained; write `weights: random`")
    return Path(torch.hub.get_dir()) / "checkpoints" / f"{name}.pt"


def _downloaded(name: str) -> Path:
    """The checkpoint in the folder where fair-esm keeps its downloads, fetched by fair-esm where it is missing.

    Raises:
        InputError: there is no such download.
        InfrastructureError: no network, a full disk, a refused or broken transfer.
    """
    import esm.pretrained

    url = CHECKPOINT_URL.format(name=name)
    path = download_place(name)
    if not path.exists():
        print(f"downloading {url} to {path}", file=sys.stderr, flush=True)
        try:
            with torch.serialization.safe_globals([argparse.Namespace]):
                esm.pretrained.load_hub_workaround(url)
        except Exception as error:
            # fair-esm turns an HTTP status into a bare Exception; everything here is the transfer's fault.
            reason = getattr(error, "reason", None) or first_line(error)
            raise InfrastructureError(
                f"design.backbone.weights: cannot download {name} ({reason}); fetch {url} elsewhere and put it at"
                f" {path}, or name the file in design.backbone.weights"
            ) from None
    return path


def _checkpoint_model(name: str, weights: Weights, place: Path) -> "ESM2":
    """fair-esm's network with these weights, which stay mapped from their file.

    Raises:
        InputError: of another architecture, incomplete, or not finite.
    """
    from esm.model.esm2 import ESM2

    layers, width, heads = weights.architecture
    if weights.architecture != ARCHITECTURES[name]:
        raise InputError(
            f"design.backbone.weights: {place}: has {layers} layers of width {width} with {heads} heads, "
            f"but {name} has {', '.join(map(str, ARCHITECTURES[name]))}; correct design.backbone.name"
        )
    with torch.device("meta"):
        model = ESM2(num_layers=layers, embed_dim=width, attention_heads=heads, token_dropout=weights.token_dropout)
    check_tensors(place, model.state_dict(), weights.tensors)
    try:
        # Some checkpoints are stored in half precision; the forward pass starts from fp32, as fair-esm's does.
        tensors = {key: value.float() for key, value in weights.tensors.items()}
        model.load_state_dict(tensors, strict=False, assign=True)
    except RuntimeError as error:
        raise InputError(f"design.backbone.weights: {place}: {str(error).splitlines()[-1].strip()}") from None
    for key, value in tensors.items():
        if not value.isfinite().all():
            raise InputError(f"design.backbone.weights: {place}: {key} has values that are not finite; fetch it again")
    return model
