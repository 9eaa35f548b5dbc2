"""Read ESM-2's weights from where a user has them: fair-esm's checkpoint file, or Hugging Face's file or folder.

| place | layout |
|---|---|
| `x.pt` | fair-esm: `{"cfg": …, "model": …}` |
| `model.safetensors`, `pytorch_model.bin` | Hugging Face: tensors by name; `config.json` beside it is compared |
| a folder with `config.json` | the same, in one file or in shards with an index |

No code of a file is run: pickles are read by torch's `weights_only`. Any other object is refused by name.
"""

import argparse
import json
import math
import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tmelt.errors import InputError

# (layers, width, attention heads)
Architecture = tuple[int, int, int]

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")  # the first that a folder has, itself or its index
# Hugging Face's names of what embeddings depend on, and fair-esm's.
_NAMES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"embeddings\.word_embeddings\.(.*)", r"embed_tokens.\1"),
        (r"encoder\.emb_layer_norm_after\.(.*)", r"emb_layer_norm_after.\1"),
        (r"encoder\.layer\.(\d+)\.attention\.self\.query\.(.*)", r"layers.\1.self_attn.q_proj.\2"),
        (r"encoder\.layer\.(\d+)\.attention\.self\.key\.(.*)", r"layers.\1.self_attn.k_proj.\2"),
        (r"encoder\.layer\.(\d+)\.attention\.self\.value\.(.*)", r"layers.\1.self_attn.v_proj.\2"),
        (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.(.*)", r"layers.\1.self_attn.out_proj.\2"),
        (r"encoder\.layer\.(\d+)\.attention\.LayerNorm\.(.*)", r"layers.\1.self_attn_layer_norm.\2"),
        (r"encoder\.layer\.(\d+)\.intermediate\.dense\.(.*)", r"layers.\1.fc1.\2"),
        (r"encoder\.layer\.(\d+)\.output\.dense\.(.*)", r"layers.\1.fc2.\2"),
        (r"encoder\.layer\.(\d+)\.LayerNorm\.(.*)", r"layers.\1.final_layer_norm.\2"),
    )
)
# Heads, and tables that ESM-2 with rotary positions does not read.
_UNUSED = re.compile(r"lm_head\.|contact_head\.|pooler\.|embeddings\.position_(ids$|embeddings\.)")
_FREQUENCIES = re.compile(r"(encoder\.layer\.(\d+|\*)\.attention\.self\.)?rotary_embeddings\.inv_freq$")
# Of config.json: what else than sizes the forward pass depends on (Lin et al. 2023, and transformers' EsmConfig).
_ESM2 = {
    "model_type": "esm",
    "vocab_size": 33,
    "position_embedding_type": "rotary",
    "emb_layer_norm_before": False,
    "token_dropout": True,
    "hidden_act": "gelu",
}
# First bytes of what is often saved under the name of a checkpoint.
_MAGIC = (
    (rb"\s*<(!doctype|html|\?xml)", "an HTML or XML page, perhaps of a failed download"),
    (rb"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", "a compressed file; unpack it first"),
    (rb"\x89HDF", "an HDF5 file, as TensorFlow's weights are; take model.safetensors or pytorch_model.bin"),
    (rb"\s*[{\[]", "JSON text"),
)


@dataclass(frozen=True)
class Weights:
    """What a checkpoint holds: tensors by fair-esm's names, without heads that embeddings do not need."""

    architecture: Architecture
    token_dropout: bool
    tensors: dict[str, torch.Tensor]
    files: tuple[Path, ...]


def read_weights(place: Path, name: str, expected: Architecture) -> Weights:
    """The weights at `place`, mapped from the file where its format allows.

    Args:
        place: a file or folder.
        name: of the backbone, for messages.
        expected: its sizes; Hugging Face's files do not always tell the number of heads.

    Raises:
        InputError: missing, damaged, in another format, or of another model than ESM-2.
    """
    if place.is_dir():
        return _from_folder(place, name, expected)
    if not place.is_file():
        raise _fault(place, "no such file or folder; a checkpoint of ESM-2, `download` or `random`")
    if _is_safetensors(place):
        return _hugging_face(_safetensors(place), place.parent / "config.json", (place,), name, expected)
    content = _unpickled(place)
    if "cfg" in content and "model" in content:
        return _fair_esm(content, place)
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        return _hugging_face(content, place.parent / "config.json", (place,), name, expected)
    raise _fault(place, "not a checkpoint of ESM-2: neither fair-esm's `cfg` and `model` nor tensors by name")


def _fault(place: Path, what: str) -> InputError:
    return InputError(f"design.backbone.weights: {place}: {what}")


def _from_folder(folder: Path, name: str, expected: Architecture) -> Weights:
    if not (folder / "config.json").is_file():
        raise _fault(folder, "no config.json in this folder; expected Hugging Face's layout, or name a file")
    for file in _WEIGHT_FILES:
        if (folder / file).is_file():
            files = [folder / file]
        elif (folder / f"{file}.index.json").is_file():
            files = _shards(folder / f"{file}.index.json")
        else:
            continue
        parts = [_safetensors(part) if _is_safetensors(part) else _unpickled(part) for part in files]
        tensors = {key: value for part in parts for key, value in part.items()}
        return _hugging_face(tensors, folder / "config.json", tuple(files), name, expected)
    raise _fault(folder, f"no weights in this folder; expected {' or '.join(_WEIGHT_FILES)}")


def _shards(index: Path) -> list[Path]:
    """The files that an index names, each in the index's own folder."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise _fault(index, "not an index of weights; fetch the folder again") from None
    if odd := next((name for name in names if not isinstance(name, str) or Path(name).name != name), None):
        raise _fault(index, f"names {str(odd)[:60]!a}, which is no file of its folder")
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing or not names:
        raise _fault(index, f"lacks {missing[0] if missing else 'files'}; fetch the folder again")
    return [index.parent / name for name in names]


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as this format does: the size of its header, then JSON."""
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < 100 << 20


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _fault(path, f"damaged safetensors file ({first_line(error)}); fetch it again") from None


def _unpickled(path: Path) -> dict[str, Any]:
    """What torch reads from a file without running code of it.

    Raises:
        InputError: nothing; with what the file seems to be.
    """
    if path.suffix == ".safetensors":  # torch would go by the name, not by what is in it
        raise _fault(path, f"not a checkpoint: {_seems(path)}")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, EOFError, RuntimeError, OSError, KeyError, TypeError, AttributeError, ValueError):
        raise _fault(path, f"not a checkpoint: {_seems(path)}") from None
    if not isinstance(content, Mapping):
        raise _fault(path, f"not a checkpoint of ESM-2: it holds a {type(content).__name__}")
    return dict(content)


def _seems(path: Path) -> str:
    """What a file that is no checkpoint seems to be, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "an empty file"
    for magic, what in _MAGIC:
        if re.match(magic, head, re.IGNORECASE):
            return what
    if head.startswith(b"PK") or head.startswith((b"\x80\x02", b"\x80\x04")):
        return "a damaged file, or one with more in it than tensors"
    if all(byte >= 32 or byte in b"\t\r\n" for byte in head) and head.isascii():
        return "a text file"
    return "of no format that torch or safetensors read"


def _fair_esm(content: Mapping[str, Any], path: Path) -> Weights:
    """fair-esm's own file."""
    import esm.pretrained

    try:
        with torch.device("meta"):
            model, _, state = esm.pretrained._load_model_and_alphabet_core_v2(content)
    except (RuntimeError, KeyError, TypeError, AttributeError, ZeroDivisionError, ValueError) as error:
        raise _fault(path, f"not a checkpoint of fair-esm's ESM-2 ({first_line(error)})") from None
    sizes = (model.num_layers, model.embed_dim, model.attention_heads)
    return Weights(sizes, bool(model.token_dropout), state, (path,))


def _hugging_face(
    tensors: Mapping[str, torch.Tensor], config: Path, files: tuple[Path, ...], name: str, expected: Architecture
) -> Weights:
    """Hugging Face's tensors by fair-esm's names."""
    place = files[0]
    found: dict[str, torch.Tensor] = {}
    frequencies = []
    unknown = []
    for key, value in tensors.items():
        short = key.removeprefix("esm.")
        if _FREQUENCIES.match(short):
            frequencies.append(value)
        elif (ours := _renamed(short)) is not None:
            found[ours] = value
        elif not _UNUSED.match(short):
            unknown.append(key)
    if "embed_tokens.weight" not in found:
        raise _fault(place, "not ESM-2's weights: no word embeddings in it, by fair-esm's or Hugging Face's names")
    if unknown:
        raise _fault(place, f"has an unknown {sorted(unknown)[0]}{_more(unknown)}; expected a plain ESM-2")
    layers = 1 + max((int(key.split(".")[1]) for key in found if key.startswith("layers.")), default=-1)
    width = found["embed_tokens.weight"].shape[-1]
    heads = _heads(config, frequencies, (layers, width), expected)
    half = width // heads // 2
    turns = 1.0 / (10000 ** (torch.arange(0, 2 * half, 2).float() / (2 * half)))
    for other in frequencies:
        if other.shape != turns.shape or not torch.allclose(other.float(), turns, rtol=1e-2):
            raise _fault(place, f"has rotary positions of other frequencies than {name}")
    found |= {f"layers.{layer}.self_attn.rot_emb.inv_freq": turns.clone() for layer in range(layers)}
    return Weights((layers, width, heads), True, found, files)


def _renamed(key: str) -> str | None:
    # transformers still writes TensorFlow's names of the parameters of layer norms into some files.
    key = re.sub(r"(?<=LayerNorm\.)(gamma|beta)$", lambda match: {"gamma": "weight", "beta": "bias"}[match[0]], key)
    for pattern, replacement in _NAMES:
        if pattern.fullmatch(key):
            return pattern.sub(replacement, key)
    return None


def _heads(config: Path, frequencies: list[torch.Tensor], sizes: tuple[int, int], expected: Architecture) -> int:
    """Attention heads: from config.json and the table of frequencies, else the backbone's own number."""
    turned = sizes[1] // (2 * len(frequencies[0])) if frequencies and len(frequencies[0]) else None
    if not config.is_file():
        return turned or expected[2]
    settings = _settings(config)
    layers, width = settings["num_hidden_layers"], settings["hidden_size"]
    if (layers, width) != sizes:
        raise _fault(config, f"says {layers} layers of width {width}, but the weights have {sizes[0]} of {sizes[1]}")
    heads = settings["num_attention_heads"]
    if turned not in (None, heads):
        raise _fault(config, f"says {heads} heads, but its rotary positions are those of {turned}")
    return heads


def _settings(config: Path) -> dict[str, int]:
    """The sizes in a config.json that describes an ESM-2.

    Raises:
        InputError: unreadable, or of another model.
    """
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        sizes = {key: settings[key] for key in ("num_hidden_layers", "hidden_size", "num_attention_heads")}
    except (OSError, ValueError, KeyError, TypeError):
        raise _fault(config, "not a configuration of ESM-2; fetch the folder again") from None
    for key, value in _ESM2.items():
        given = settings.get(key, value)
        if given != value:
            raise _fault(config, f"has {key} {str(given)[:40]!a}, and ESM-2 has {value!r}: another model")
    if not all(type(size) is int and 0 < size < 100_000 for size in sizes.values()):
        raise _fault(config, "has sizes that are no whole numbers")
    if sizes["hidden_size"] % (2 * sizes["num_attention_heads"]):
        raise _fault(config, "has a width that its heads cannot share")
    layer_norm = settings.get("layer_norm_eps", 1e-5)
    if not isinstance(layer_norm, float) or not math.isclose(layer_norm, 1e-5):
        raise _fault(config, f"has layer_norm_eps {str(layer_norm)[:40]!a}, and ESM-2 has 1e-05: another model")
    return sizes


def check_tensors(place: Path, wanted: Iterable[str], found: Iterable[str]) -> None:
    """Refuse a checkpoint that lacks tensors or has others.

    Raises:
        InputError: with the first of them.
    """
    # The contact head is not used, and its regression comes in a file of its own; nor is the language-model head.
    needed = {key for key in wanted if not key.startswith(("contact_head.", "lm_head."))}
    lacking, unknown = needed - set(found), set(found) - set(wanted)
    faults = [
        f"{fault} {sorted(names)[0]}{_more(names)}"
        for fault, names in (("lacks", lacking), ("has an unknown", unknown))
        if names
    ]
    if faults:
        raise _fault(place, "; ".join(faults))


def _more(names: Iterable[str]) -> str:
    others = len(list(names)) - 1
    return f" and {others} more" if others else ""


def first_line(error: Exception) -> str:
    """Of its message; the kind of error where it has none, as a time-out of a socket."""
    return (str(error).splitlines() or [type(error).__name__])[0]
