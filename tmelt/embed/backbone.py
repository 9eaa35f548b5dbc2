"""Load a frozen ESM-2 (fair-esm's own class): downloaded, from a checkpoint file, or untrained.

fair-esm 2.0.0 predates torch's `weights_only` loading and insists on a contact-regression file; what is done here
instead needs neither, and maps the file into memory instead of reading it twice.
"""

import argparse
import hashlib
import pickle
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tmelt.config import Backbone
from tmelt.errors import InfrastructureError, InputError

if TYPE_CHECKING:
    from esm.model.esm2 import ESM2

# Layers, width, attention heads (Lin et al. 2023, table S1, and the released checkpoints).
ARCHITECTURES: dict[str, tuple[int, int, int]] = {
    "tiny": (4, 64, 4),
    "esm2_t6_8M_UR50D": (6, 320, 20),
    "esm2_t12_35M_UR50D": (12, 480, 20),
    "esm2_t30_150M_UR50D": (30, 640, 20),
    "esm2_t33_650M_UR50D": (33, 1280, 20),
    "esm2_t36_3B_UR50D": (36, 2560, 40),
}
CHECKPOINT_URL = "https://dl.fbaipublicfiles.com/fair-esm/models/{name}.pt"


@dataclass(frozen=True)
class LoadedBackbone:
    """A frozen ESM-2 and where its weights come from."""

    name: str
    model: "ESM2"
    layer: int
    weights_sha256: str
    untrained: bool


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
    untrained = backbone.weights == "random"
    if untrained:
        model = _random_model(backbone.name, backbone.seed)
    elif backbone.weights == "download":
        model = _checkpoint_model(backbone.name, _downloaded(backbone.name))
    else:
        model = _checkpoint_model(backbone.name, Path(backbone.weights))
    model = model.eval().requires_grad_(False)
    return LoadedBackbone(backbone.name, model, layer, weights_hash(model), untrained)


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


def _downloaded(name: str) -> Path:
    """The checkpoint in the folder where fair-esm keeps its downloads, fetched by fair-esm where it is missing.

    Raises:
        InputError: there is no such download.
        InfrastructureError: no network, a full disk, a refused or broken transfer.
    """
    import esm.pretrained

    if name == "tiny":
        raise InputError("design.backbone.weights: `tiny` was never trained; write `weights: random`")
    url = CHECKPOINT_URL.format(name=name)
    path = Path(torch.hub.get_dir()) / "checkpoints" / f"{name}.pt"
    if not path.exists():
        print(f"downloading {url} to {path}", file=sys.stderr, flush=True)
        try:
            with torch.serialization.safe_globals([argparse.Namespace]):
                esm.pretrained.load_hub_workaround(url)
        except Exception as error:
            # fair-esm turns an HTTP status into a bare Exception; everything here is the transfer's fault.
            reason = getattr(error, "reason", None) or _first_line(error)
            raise InfrastructureError(
                f"design.backbone.weights: cannot download {name} ({reason}); fetch {url} elsewhere and put it at"
                f" {path}, or name the file in design.backbone.weights"
            ) from None
    return path


def _first_line(error: Exception) -> str:
    """Of its message; the kind of error where it has none, as a time-out of a socket."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _checkpoint_model(name: str, path: Path) -> "ESM2":
    """The network in a file of fair-esm's checkpoint format, its weights mapped from the file.

    Raises:
        InputError: missing, damaged, in another format, or of another architecture.
    """
    import esm.pretrained

    if not path.is_file():
        raise InputError(
            f"design.backbone.weights: {path}: no such file; a fair-esm checkpoint, `download` or `random`"
        )
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        with torch.device("meta"):
            model, _, state = esm.pretrained._load_model_and_alphabet_core_v2(checkpoint)
    except (pickle.UnpicklingError, EOFError, RuntimeError, OSError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"design.backbone.weights: {path}: not a checkpoint of fair-esm's ESM-2 ({_first_line(error)})"
        ) from None
    found = (model.num_layers, model.embed_dim, model.attention_heads)
    if found != ARCHITECTURES[name]:
        raise InputError(
            f"design.backbone.weights: {path}: has {found[0]} layers of width {found[1]} with {found[2]} heads, "
            f"but {name} has {', '.join(map(str, ARCHITECTURES[name]))}; correct design.backbone.name"
        )
    # The contact head is not used, and its regression comes in a file of its own: both may be absent.
    faults = [
        f"{fault} {sorted(names)[0]} and {len(names) - 1} more" if len(names) > 1 else f"{fault} {names.pop()}"
        for fault, names in (
            ("lacks", {key for key in model.state_dict().keys() - state.keys() if not key.startswith("contact_head.")}),
            ("has an unknown", state.keys() - model.state_dict().keys()),
        )
        if names
    ]
    if faults:
        raise InputError(f"design.backbone.weights: {path}: {'; '.join(faults)}")
    try:
        # Some checkpoints are stored in half precision; the forward pass starts from fp32, as fair-esm's does.
        model.load_state_dict({key: value.float() for key, value in state.items()}, strict=False, assign=True)
    except RuntimeError as error:
        raise InputError(f"design.backbone.weights: {path}: {str(error).splitlines()[-1].strip()}") from None
    return model
