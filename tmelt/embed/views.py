"""What candidates see of a data set's embeddings: one view (tmelt.embed.view) for `fit`, one for `predict`."""

import hashlib
import platform
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.embed.cache import Cache, open_cache
from tmelt.embed.plan import pass_tokens
from tmelt.embed.record import EmbeddingRecord, ViewRecord, read_embedding
from tmelt.embed.view import COMPOSITION, FLOAT16, OFFSETS, RESIDUES, SEQUENCES, View
from tmelt.errors import InfrastructureError, InputError
from tmelt.proteins.composition import composition
from tmelt.storage.files import read_json, sha256_file, sha256_text, write_json
from tmelt.storage.records import to_json
from tmelt.storage.schema import EMBEDDING_INDEX, POOL, PROTEINS, SPLITS, read_table, write_table
from tmelt.study.config import Backbone

DECOY_SHARE, DECOY_LIMIT = 0.1, 200  # of fit; a decoy's label is known to the candidate
CHECKED = "checked"  # folder for each machine's record of the files that it has hashed
TICK_NS = 2_000_000_000
TRAINED_LENGTH = 1022  # residues that ESM-2 saw of a protein in training (Lin et al. 2023)


def check_views(folder: Path) -> None:
    """Compare every file of an embedding with the hash that was recorded when it was written: views and tables.

    Every training job asks, and hashing 5 GB takes seconds: a file that this machine found good since it was started,
    and that the kernel says has not been touched since (`_state`), is not read again.

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
        with suppress(OSError):  # another user's embedding: checked each time
            write_json(remembered, {"boot": _boot(), "files": found})


def recorded_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its name in the embedding's folder, as embedding.json has them.

    Raises:
        InfrastructureError: embedding.json is missing, unreadable or not what it should be.
    """
    try:
        return read_embedding(folder).files
    except InputError as error:
        fault = str(error).split(";")[0]
    raise InfrastructureError(f"{fault}; delete {folder} and run again")


def _state(path: Path) -> list[int]:
    """What changes whenever a file's bytes may have: the kernel sets the last of them, and no system call sets it back.

    Candidates see neither this record nor a file of the embedding that they may write; a user who may write the record
    may write embedding.json and its hashes as well.
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
    labels = {"tm": fit["tm"].to_numpy().astype("<f8"), "is_stop": (fit["split"] == "stop").to_numpy()}
    about = {
        "fit": _write_view(folder / "fit", fit, stored, labels),
        "pool": _write_view(folder / "pool", pool, stored),
    }
    write_table(folder / "pool.parquet", pool.select("protein_id", "role").iter_rows(named=True), POOL)
    index = [row for view, part in (("fit", fit), ("pool", pool)) for row in _index_rows(view, part, stored)]
    write_table(folder / "index.parquet", index, EMBEDDING_INDEX)
    record = EmbeddingRecord(
        **asdict(stored.key),
        id=folder.name,
        per_protein=all(
            stored.places[name].length < len(sequence)
            for name, sequence in zip(frame["sequence_sha256"], frame["sequence"], strict=True)
        ),
        proteins=dict(Counter(frame["split"])),
        decoys=int((pool["role"] == "decoy").sum()),
        beyond_crop=int((frame["sequence"].str.len_bytes() > TRAINED_LENGTH).sum()),
        views=about,
        tables={name: sha256_file(folder / name) for name in ("pool.parquet", "index.parquet")},
    )
    write_json(folder / "embedding.json", to_json(record))


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


def _write_view(
    folder: Path, proteins: pl.DataFrame, stored: Cache, labels: dict[str, np.ndarray] | None = None
) -> ViewRecord:
    """Write a view; its record for embedding.json."""
    digest = hashlib.sha256()

    def residues() -> Iterator[np.ndarray]:
        for key in proteins["sequence_sha256"]:
            protein = stored.residues(key)
            digest.update(protein)
            yield protein

    sequences = proteins["sequence"].to_list()
    View.write(folder, residues(), composition(sequences), sequences=sequences, labels=labels, durable=True)
    others = (OFFSETS, COMPOSITION, SEQUENCES, *(f"{name}.npy" for name in labels or {}))
    rows = sum(map(len, sequences))
    return ViewRecord(
        proteins=proteins.height,
        residues=rows,
        bytes=rows * FLOAT16.itemsize * stored.key.width,
        files={RESIDUES: digest.hexdigest(), **{name: sha256_file(folder / name) for name in others}},
    )


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
