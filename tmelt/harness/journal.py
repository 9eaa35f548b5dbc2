"""Finished runs, kept outside Snakemake's outputs, which it deletes when a job fails: no GPU hour is spent twice.

A run is named by what determines it: protocol, script, knobs, seed, threads and variation.
"""

import fcntl
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.files import copy_file, read_json, sha256_file, sha256_json, write_json

FILES = ("curve.parquet", "predictions.parquet", "log.txt")


def run_key(
    protocol_sha256: str,
    script_sha256: str,
    knobs: Mapping[str, Any],
    seed: int,
    threads: int,
    variation: Mapping[str, Any],
) -> str:
    """The identity of one run."""
    return sha256_json([protocol_sha256, script_sha256, dict(knobs), seed, threads, dict(variation)])


@contextmanager
def only_one(journal: Path, key: str) -> Iterator[None]:
    """Wait until no other process trains this run: a job orphaned by a kill, or of a second person.

    The system drops the lock when its holder ends, however it ends.
    """
    shelf = journal / key[:2]
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / f".{key}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:  # a file system without locks: the first to finish counts
            warnings.warn(f"{journal}: no locks here ({error}); a run may be trained twice", stacklevel=2)
        yield


def recall(journal: Path, key: str, folder: Path) -> dict[str, Any] | None:
    """Put a finished run's files into `folder` and return its row; None if the journal has it not, or damaged."""
    kept = journal / key[:2] / key
    row = _row_of(kept)
    if row is not None:
        for name in FILES:
            copy_file(kept / name, folder / name)
    return row


def keep(journal: Path, key: str, folder: Path, row: Mapping[str, Any]) -> None:
    """Keep a finished run; what is kept already, and whole, stays. To be called inside `only_one`."""
    shelf = journal / key[:2]
    shelf.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=shelf))
    fresh.chmod(0o755)
    try:
        for name in FILES:
            copy_file(folder / name, fresh / name)
        hashes = {name: sha256_file(fresh / name) for name in FILES}
        write_json(fresh / "run.json", {"row": dict(row), "sha256": hashes})
        if _row_of(shelf / key) is None:
            shutil.rmtree(shelf / key, ignore_errors=True)
            fresh.rename(shelf / key)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _row_of(kept: Path) -> dict[str, Any] | None:
    """The row of a kept run whose files are all as they were written."""
    if not kept.exists():
        return None
    try:
        entry = read_json(kept / "run.json")
        if all(sha256_file(kept / name) == entry["sha256"][name] for name in FILES):
            return entry["row"]
    except (InputError, OSError, LookupError, TypeError):
        pass
    warnings.warn(f"{kept}: damaged; the run is trained again", stacklevel=3)
    return None
