"""Embeddings that were computed elsewhere, found by protein in a file or folder.

| path | layout | a protein is found by |
|---|---|---|
| `x.h5` | biotrainer, bio_embeddings: a dataset (L, D) or (D,) per protein | hash of its sequence, or `original_id` |
| `x.h5` | scikit-bio (skbio.io.format.embed): all rows one after another | its sequence |
| a folder of `.pt` | fair-esm's scripts/extract.py: `representations`, or `mean_representations` | label or file name |
| `x.safetensors` | a tensor per protein | hash of its sequence, or name |

An embedding has a row per residue, or one row per protein; all of a file are of one kind.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tmelt.embed.degenerate import degenerate
from tmelt.embed.view import FLOAT16
from tmelt.errors import InputError
from tmelt.storage.files import sha256_file, sha256_json, sha256_text
from tmelt.text.safe import one_line

IMPORTED = "imported"  # the backbone's name in a config
_SHOWN = 3
_LARGEST = 65504.0  # of float16
_HDF5 = b"\x89HDF\r\n\x1a\n"

Reader = Callable[[], np.ndarray]


@dataclass
class Source:
    """An open file or folder of embeddings."""

    path: Path
    kind: str  # the layout, in words
    by_name: dict[str, Reader] = field(default_factory=dict)
    by_sequence: dict[str, Reader] = field(default_factory=dict)

    def has(self, sequence: str, names: Iterable[str]) -> bool:
        """Whether there is an embedding of this protein; reads none."""
        return self._reader(sequence, names) is not None

    def read(self, sequence: str, names: Iterable[str]) -> np.ndarray:
        """The embedding of a protein as it is stored.

        Raises:
            InputError: it cannot be read.
        """
        reader = self._reader(sequence, names)
        if reader is None:
            raise KeyError(sequence)
        try:
            return np.asarray(reader())
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(f"{self.path}: an embedding cannot be read ({one_line(error)}); write it again") from None

    def _reader(self, sequence: str, names: Iterable[str]) -> Reader | None:
        reader = self.by_sequence.get(sequence)
        # biotrainer hashes a sequence with its length behind it.
        hashes = (sha256_text(f"{sequence}_{len(sequence)}"), sha256_text(sequence))
        for key in (*hashes, *(alias for name in names for alias in _aliases(name))):
            reader = reader or self.by_name.get(key)
        return reader


def _aliases(name: str) -> tuple[str, ...]:
    """A protein's name, and the accession in `db|accession|name`."""
    parts = name.split("|")
    return (name, parts[1]) if len(parts) == 3 and parts[1] else (name,)


def content_sha256(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's `.pt` files."""
    if path.is_dir():
        return sha256_json({file.name: sha256_file(file) for file in sorted(path.glob("*.pt"))})
    return sha256_file(path)


@contextmanager
def open_source(path: Path, layer: int | None = None) -> Iterator[Source]:
    """Open embeddings, by what is in the file.

    Args:
        path: a file or folder.
        layer: of fair-esm's files, which may hold several; None where there is one.

    Raises:
        InputError: missing, damaged, or of another format.
    """
    path = path.expanduser()
    with ExitStack() as stack:
        if path.is_dir():
            yield _fair_esm(path, layer)
            return
        if not path.is_file():
            raise _fault(path, "no such file or folder; HDF5, safetensors, or a folder of fair-esm's .pt files")
        with path.open("rb") as file:
            head = file.read(9)
        if head.startswith(_HDF5):
            yield _hdf5(path, stack)
        elif len(head) == 9 and head[8:] == b"{":
            yield _safetensors(path, stack)
        else:
            raise _fault(path, "neither HDF5 nor safetensors; one of fair-esm's .pt files is read by its folder")


def _fault(path: Path, what: str) -> InputError:
    return InputError(f"design.backbone.path: {path}: {what}")


def _hdf5(path: Path, stack: ExitStack) -> Source:
    import h5py

    try:
        file = stack.enter_context(h5py.File(path, "r"))
        # Links could lead to other files.
        names = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
        found = {name: file[name] for name in names}
    except (OSError, KeyError, RuntimeError) as error:
        raise _fault(path, f"damaged HDF5 file ({one_line(error)}); write it again") from None
    if "idptr" in found:
        return _scikit_bio(path, found)
    source = Source(path, "HDF5 with a dataset per protein")
    for name, part in found.items():
        if not isinstance(part, h5py.Dataset):
            raise _fault(path, f"{one_line(name, 60)!r} is a group; expected a dataset per protein at the top")
        label = part.attrs.get("original_id", name)
        label = label.decode(errors="replace") if isinstance(label, bytes) else str(label)
        source.by_name.setdefault(name, _whole(part))
        source.by_name[label] = _whole(part)
    if not source.by_name:
        raise _fault(path, "holds no dataset")
    return source


def _whole(part: Any) -> Reader:
    return lambda: part[()]


def _scikit_bio(path: Path, found: Mapping[str, Any]) -> Source:
    """Rows of all proteins one after another; `id` holds their sequences in the same way."""
    rows = found.get("embedding", found.get("embeddings"))
    try:
        ends = found["idptr"][()].astype(np.int64)
        letters = found["id"][()].astype(np.uint8).tobytes().decode("ascii")
        places = found["embedding_ptr"][()].astype(np.int64) if "embedding_ptr" in found else ends
        sound = rows is not None and rows.ndim == 2 and len(places) == len(ends) and places[-1] == len(rows)
        sound = sound and ends[-1] == len(letters) and all(bool((np.diff(each) > 0).all()) for each in (ends, places))
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, OSError):
        sound = False
    if not sound:
        raise _fault(path, "damaged file of scikit-bio's format: its pointers do not fit its rows; write it again")
    source = Source(path, "scikit-bio's HDF5")
    starts = [(0, 0), *zip(ends, places, strict=True)]
    for (start, first), (end, last) in pairwise(starts):
        source.by_sequence[letters[start:end]] = _slice(rows, int(first), int(last))
    return source


def _slice(rows: Any, first: int, last: int) -> Reader:
    return lambda: rows[first:last]


def _safetensors(path: Path, stack: ExitStack) -> Source:
    from safetensors import SafetensorError, safe_open

    try:
        file = stack.enter_context(safe_open(path, "pt"))
    except (SafetensorError, OSError) as error:
        raise _fault(path, f"damaged safetensors file ({one_line(error)}); write it again") from None
    names = list(file.keys())
    return Source(path, "safetensors", {name: _tensor(file, name) for name in names})


def _tensor(file: Any, name: str) -> Reader:
    return lambda: file.get_tensor(name).float().numpy()


def _fair_esm(folder: Path, layer: int | None) -> Source:
    files = sorted(folder.glob("*.pt"))
    if not files:
        raise _fault(folder, "holds no .pt file")
    return Source(folder, "fair-esm's .pt files", {file.stem: _representation(file, layer) for file in files})


def _representation(file: Path, layer: int | None) -> Reader:
    def read() -> np.ndarray:
        import pickle

        import torch

        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
            layers = content.get("representations") or content["mean_representations"]
        except (pickle.UnpicklingError, EOFError, RuntimeError, OSError, KeyError, TypeError, AttributeError):
            raise _fault(file, "not a file of fair-esm's extract.py with `representations`") from None
        if layer is None and len(layers) != 1:
            raise _fault(file, f"has layers {', '.join(map(str, sorted(layers)))}; choose one by design.backbone.layer")
        chosen = next(iter(layers)) if layer is None else layer
        if chosen not in layers:
            raise _fault(file, f"has no layer {layer}, but {', '.join(map(str, sorted(layers)))}")
        return layers[chosen].float().numpy()

    return read


def read_embeddings(source: Source, proteins: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, np.ndarray]]:
    """The embedding of each sequence, float16 (L, D), or (1, D) where the file has one row per protein.

    Args:
        source: where they are.
        proteins: names of the proteins by sequence.

    Yields:
        A sequence and its embedding, in the order of `proteins`.

    Raises:
        InputError: a protein is missing, has another number of rows than residues, another width than the one before
            it, or values that are no embedding.
    """
    missing = [names[0] for sequence, names in proteins.items() if not source.has(sequence, names)]
    if missing:
        shown = ", ".join(one_line(name, 60) for name in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise _fault(
            source.path, f"lacks {len(missing)} of {len(proteins)} proteins: {shown}{more}; embed them, or drop them"
        )
    width: int | None = None
    whole: bool | None = None  # one row per protein
    for sequence, names in proteins.items():
        name = one_line(names[0], 60)
        found = source.read(sequence, names)
        rows = np.atleast_2d(found)
        if rows.ndim != 2 or rows.dtype.kind != "f" or not rows.size:
            raise _fault(source.path, f"protein {name}: {found.dtype} {found.shape} is no embedding (L, D) or (D,)")
        if width not in (None, rows.shape[1]):
            raise _fault(source.path, f"protein {name}: has width {rows.shape[1]}, and those before it {width}")
        single = len(rows) == 1 and len(sequence) > 1
        if whole not in (None, single):
            raise _fault(source.path, f"protein {name}: rows per residue and per protein are mixed")
        if not single and len(rows) != len(sequence):
            raise _fault(source.path, f"protein {name}: {_wrong_length(len(rows), len(sequence))}")
        width, whole = rows.shape[1], single if len(sequence) > 1 else whole
        if not (np.isfinite(rows).all() and np.abs(rows).max() <= _LARGEST):
            raise _fault(source.path, f"protein {name}: values that are not finite, or beyond float16's ±65504")
        half = np.ascontiguousarray(rows.astype(FLOAT16))
        if fault := degenerate(half, 1 if single else len(set(sequence))):
            raise _fault(source.path, f"protein {name}: {fault}; this is no embedding")
        yield sequence, half


def _wrong_length(rows: int, residues: int) -> str:
    hint = {1: "an end token?", 2: "start and end token?"}.get(rows - residues, "cut off?" if rows < residues else "")
    return f"has {rows} rows for {residues} residues{f' ({hint})' if hint else ''}; one row per residue is needed"


def hash_of(path: Path) -> str:
    """Content hash of the source at `path`, for a cache's key.

    Raises:
        InputError: there is none.
    """
    path = path.expanduser()
    try:
        return content_sha256(path)
    except OSError as error:
        raise _fault(path, f"cannot be read ({error.strerror})") from None
