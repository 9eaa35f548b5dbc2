"""What candidates see of a data set's embeddings: one folder for `fit`, one for `predict`; and their reader.

A view is residues.f16 (contiguous little-endian float16, (ΣL, D)), offsets.npy (n + 1 row numbers), composition.npy
(counts of the 20 amino acids, (n, 20)) and sequences.txt (n lines), which candidates see where the study grants it; the
one for fit also has tm.npy and is_stop.npy.
"""

import hashlib
import platform
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.config import Backbone
from tmelt.embed.cache import FLOAT16, Cache, open_cache
from tmelt.embed.plan import pass_tokens
from tmelt.errors import InfrastructureError, InputError
from tmelt.files import atomic_path, read_json, sha256_file, sha256_text, write_json, write_text
from tmelt.proteins.composition import composition
from tmelt.schema import EMBEDDING_INDEX, POOL, PROTEINS, SPLITS, read_table, write_table

DECOY_SHARE, DECOY_LIMIT = 0.1, 200  # of fit; a decoy's label is known to the candidate
SEQUENCES = "sequences.txt"  # file of a view
CHECKED = "checked"  # folder for each machine's record of the files that it has hashed
TICK_NS = 2_000_000_000
TRAINED_LENGTH = 1022  # residues that ESM-2 saw of a protein in training (Lin et al. 2023)


@dataclass(frozen=True)
class View:
    """Proteins of one view, in its order: n proteins, ΣL residues of width D."""

    residues: np.ndarray  # float16 (ΣL, D), mapped read-only
    offsets: np.ndarray  # int64 (n + 1,)
    sequences: list[str]
    tm: np.ndarray | None  # float64 (n,) in °C; fit only
    is_stop: np.ndarray | None  # bool (n,); fit only

    def __len__(self) -> int:
        return len(self.sequences)

    def protein(self, number: int) -> np.ndarray:
        """Embedding of one protein, float16 (L, D)."""
        return self.residues[self.offsets[number] : self.offsets[number + 1]]


def read_view(folder: Path) -> View:
    """Open a view; its residues stay on disk until they are read.

    Raises:
        InputError: a file is missing, or the files do not fit together.
    """
    try:
        offsets = np.load(folder / "offsets.npy")
        sequences = (folder / SEQUENCES).read_text(encoding="utf-8").splitlines()
        residues = np.memmap(folder / "residues.f16", FLOAT16, "r")
        has_labels = (folder / "tm.npy").exists()
        tm, is_stop = (np.load(folder / f"{name}.npy") if has_labels else None for name in ("tm", "is_stop"))
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{folder}: not a readable view ({error}); delete {folder.parent} and run again") from None
    rows = int(offsets[-1])
    counts = {len(offsets) - 1, len(sequences)} | ({len(tm), len(is_stop)} if has_labels else set())
    if rows <= 0 or residues.size % rows or len(counts) != 1:
        raise InputError(f"{folder}: its files do not fit together; delete {folder.parent} and run again")
    return View(residues.reshape(rows, -1), offsets, sequences, tm, is_stop)


def check_views(folder: Path) -> None:
    """Compare every file of an embedding with the hash that was recorded when it was written: views and tables.

    Every training job asks, and hashing 5 GB takes seconds: a file that this machine found good since it was started,
    and that the kernel says nobody has touched since (`_state`), is not read again.

    Raises:
        InfrastructureError: a file is missing or has other bytes.
    """
    remembered = folder / CHECKED / f"{platform.node()}.json"
    good, found = _remembered(remembered), {}
    for name, sha256 in recorded_hashes(folder).items():
        path = folder / name
        found[name] = state = [sha256, *_state(path)] if path.is_file() else None
        if state is None or (state != good.get(name) and sha256_file(path) != sha256):
            raise InfrastructureError(f"{path}: not as it was written; delete {folder} and run again")
    # A change within the clock's tick of the last one would not show: what is so fresh is hashed again next time.
    if found != good and time.time_ns() - max(state[-1] for state in found.values()) > TICK_NS:
        with suppress(OSError):  # somebody else's embedding: checked each time
            write_json(remembered, {"boot": _boot(), "files": found})


def recorded_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its name in the embedding's folder, as embedding.json has them.

    Raises:
        InfrastructureError: embedding.json is missing, unreadable or lacks hashes.
    """
    try:
        about = read_json(folder / "embedding.json")
        views = {f"{view}/{name}": one for view, part in about["views"].items() for name, one in part["files"].items()}
        return views | about["tables"]
    except InputError as error:
        fault = str(error).split(";")[0]
    except (LookupError, TypeError, AttributeError):
        fault = f"{folder / 'embedding.json'}: lacks hashes of files"
    raise InfrastructureError(f"{fault}; delete {folder} and run again")


def _state(path: Path) -> list[int]:
    """What changes whenever a file's bytes may have: the kernel sets the last of them, and no system call sets it back.

    Candidates see neither this record nor a file of the embedding that they may write; whoever may write the record
    may write embedding.json and its hashes, too.
    """
    about = path.stat()
    return [about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns]


def _remembered(path: Path) -> dict[str, Any]:
    """The states of the files that were found good on this machine since it was started."""
    try:
        record = read_json(path)
        return record["files"] if record["boot"] == _boot() else {}
    except (InputError, OSError, LookupError, TypeError):
        return {}


def _boot() -> str:
    """This machine's uninterrupted run: after a restart every file is read again."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def write_views(proteins: Path, backbone: Backbone, cache: Path, folder: Path, seed: int) -> None:
    """Write the views fit/ and pool/, pool.parquet, index.parquet and, last, embedding.json.

    The pool holds val, test, stop and some proteins of fit (decoys) in an order that depends on `seed` and on every
    byte of proteins.parquet, which candidates never see: a row number does not tell them what a protein is for.

    Args:
        proteins: proteins.parquet.
        backbone: the network, for its name and layer.
        cache: folder of segments that hold every protein.
        folder: results/embeddings/{dataset}/{backbone id}.
        seed: of the pool's order and the decoys.

    Raises:
        InputError: proteins, labels or splits are not as they should be, a protein is missing in the cache, or a
            segment is damaged.
    """
    frame = _checked_proteins(proteins)
    keys = frame["sequence"].map_elements(sha256_text, return_dtype=pl.String)
    frame = frame.with_columns(sequence_sha256=keys)
    stored = open_cache(cache)
    _check_complete(stored, frame, backbone)
    stored.verify(frame["sequence_sha256"])
    fit, pool = _split(frame, seed, sha256_file(proteins))
    (folder / "embedding.json").unlink(missing_ok=True)  # from here on the folder is unfinished
    about = {"fit": _write_view(folder / "fit", fit, stored), "pool": _write_view(folder / "pool", pool, stored)}
    _save(folder / "fit" / "tm.npy", fit["tm"].to_numpy().astype("<f8"))
    _save(folder / "fit" / "is_stop.npy", (fit["split"] == "stop").to_numpy())
    for name in ("tm.npy", "is_stop.npy"):
        about["fit"]["files"][name] = sha256_file(folder / "fit" / name)
    write_table(folder / "pool.parquet", pool.select("protein_id", "role").iter_rows(named=True), POOL)
    index = [row for view, part in (("fit", fit), ("pool", pool)) for row in _index_rows(view, part, stored)]
    write_table(folder / "index.parquet", index, EMBEDDING_INDEX)
    key = stored.key
    write_json(
        folder / "embedding.json",
        {
            "backbone": key.backbone,
            "id": folder.name,
            "weights_sha256": key.weights_sha256,
            "untrained": key.untrained,
            "released": key.released,
            "layer": key.layer,
            "width": key.width,
            "precision": key.precision,
            "device": key.device,
            "tokens": key.tokens,
            "per_protein": all(
                stored.places[name].length < len(sequence)
                for name, sequence in zip(frame["sequence_sha256"], frame["sequence"], strict=True)
            ),
            "proteins": dict(Counter(frame["split"])),
            "decoys": int((pool["role"] == "decoy").sum()),
            "beyond_crop": int((frame["sequence"].str.len_bytes() > TRAINED_LENGTH).sum()),
            "views": about,
            "tables": {name: sha256_file(folder / name) for name in ("pool.parquet", "index.parquet")},
        },
    )


def _checked_proteins(path: Path) -> pl.DataFrame:
    frame = read_table(path, PROTEINS)
    unknown = set(frame["split"]) - set(SPLITS)
    if unknown:
        raise InputError(f"{path}: split {unknown.pop()!r}; one of {', '.join(SPLITS)}")
    labelled = frame["split"].is_in(["fit", "stop"])
    if frame.filter(labelled & (frame["tm"].is_null() | ~frame["tm"].is_finite())).height:
        raise InputError(f"{path}: a protein of fit or stop has no tm")
    if frame.filter(~labelled & frame["tm"].is_not_null()).height:
        raise InputError(f"{path}: a protein of val, select or test has a tm; these labels belong into the vault")
    if not labelled.any() or labelled.all():
        raise InputError(f"{path}: no protein to train on, or none to predict")
    return frame


def _check_complete(stored: Cache, frame: pl.DataFrame, backbone: Backbone) -> None:
    """Refuse a cache that lacks a protein or was made by another backbone."""
    missing = frame.filter(~frame["sequence_sha256"].is_in(list(stored.places)))
    if missing.height:
        raise InputError(
            f"{stored.folder}: lacks {missing.height} of {frame.height} proteins, e.g. {missing['protein_id'][0]}; "
            "delete the markers of the embedding jobs (shards/*.json), and run again"
        )
    if stored.key.backbone != backbone.name or backbone.layer not in (None, stored.key.layer):
        raise InputError(
            f"{stored.folder}: holds layer {stored.key.layer} of {stored.key.backbone}, not "
            f"{'the last layer' if backbone.layer is None else f'layer {backbone.layer}'} of {backbone.name}"
        )


def _split(frame: pl.DataFrame, seed: int, proteins_sha256: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The proteins of the two views, those of the pool with a `role`, in its order."""
    random = np.random.default_rng(np.random.SeedSequence([seed, int(proteins_sha256, 16)]))
    fit = frame.filter(frame["split"].is_in(["fit", "stop"]))
    candidates = fit.filter(fit["split"] == "fit")
    wanted = min(DECOY_LIMIT, round(DECOY_SHARE * candidates.height))
    decoys = candidates[np.sort(random.choice(candidates.height, wanted, replace=False))]
    pool = pl.concat(
        [
            frame.filter(frame["split"] != "fit").with_columns(role=pl.col("split")),
            decoys.with_columns(role=pl.lit("decoy")),
        ]
    )
    return fit, pool[random.permutation(pool.height)]


def _write_view(folder: Path, proteins: pl.DataFrame, stored: Cache) -> dict[str, Any]:
    """Write a view's residues, offsets and sequences; its record for embedding.json."""
    digest = hashlib.sha256()
    with atomic_path(folder / "residues.f16") as temporary, temporary.open("wb") as file:
        for key in proteins["sequence_sha256"]:
            residues = stored.residues(key)
            digest.update(residues)
            file.write(residues)
        size = file.tell()
    _save(folder / "offsets.npy", _offsets(proteins, stored))
    _save(folder / "composition.npy", composition(proteins["sequence"].to_list()))
    write_text(folder / SEQUENCES, "".join(sequence + "\n" for sequence in proteins["sequence"]))
    files = {name: sha256_file(folder / name) for name in ("offsets.npy", "composition.npy", SEQUENCES)}
    return {
        "proteins": proteins.height,
        "residues": size // (FLOAT16.itemsize * stored.key.width),
        "bytes": size,
        "files": {"residues.f16": digest.hexdigest(), **files},
    }


def _offsets(proteins: pl.DataFrame, stored: Cache) -> np.ndarray:
    """First row of each protein and the number of rows, int64 (n + 1,)."""
    lengths = [stored.places[key].length for key in proteins["sequence_sha256"]]
    return np.concatenate([[0], np.cumsum(lengths)]).astype("<i8")


def _index_rows(view: str, proteins: pl.DataFrame, stored: Cache) -> list[dict[str, Any]]:
    offsets = _offsets(proteins, stored)
    return [
        {
            "protein_id": protein_id,
            "view": view,
            "offset": int(offset),
            "length": stored.places[key].length,
            "sequence_sha256": key,
            "tokens": pass_tokens(stored.places[key].length, stored.key.tokens),
            "beyond_crop": stored.places[key].length > TRAINED_LENGTH,
        }
        for protein_id, key, offset in zip(
            proteins["protein_id"], proteins["sequence_sha256"], offsets[:-1], strict=True
        )
    ]


def _save(path: Path, array: np.ndarray) -> None:
    """Write an array as .npy, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
