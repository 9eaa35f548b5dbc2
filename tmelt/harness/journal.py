"""Finished runs, kept outside Snakemake's outputs, which it deletes when a job fails: no GPU hour is spent twice.

A run is named by what determines it: protocol, script, knobs, seed, threads and variation. Where its checkpoint was
asked for, that is kept with it.
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
from tmelt.harness.checkpoint import Unkeepable, copy_checkpoint
from tmelt.storage.files import copy_file, read_json, sha256_file, sha256_json, write_json

FILES = ("curve.parquet", "predictions.parquet", "log.txt")
CHECKPOINT = "checkpoint"


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
    """Wait until no other process trains this run: a job orphaned by a kill, or a second user's.

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


def recall(journal: Path, key: str, folder: Path, with_checkpoint: bool = False) -> dict[str, Any] | None:
    """Put a finished run's files into `folder` and return its row; None if the journal has it not, or damaged.

    With `with_checkpoint` a run that ended ok counts only where its checkpoint was kept as well.
    """
    kept = journal / key[:2] / key
    row = _row_of(kept, with_checkpoint)
    if row is not None:
        for name in FILES:
            copy_file(kept / name, folder / name)
    return row


def keep(
    journal: Path, key: str, folder: Path, row: Mapping[str, Any], checkpoint: Path | None = None, most_mb: int = 0
) -> None:
    """Keep a finished run; what is kept already, and whole, stays. To be called inside `only_one`.

    Args:
        checkpoint: the folder that the candidate left, to be kept with the run; what cannot be kept (a link, a FIFO)
            is no fault of the run: the entry says why it is missing.
        most_mb: the budget of that folder.
    """
    shelf = journal / key[:2]
    shelf.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=shelf))
    fresh.chmod(0o755)
    try:
        for name in FILES:
            copy_file(folder / name, fresh / name)
        hashes = {name: sha256_file(fresh / name) for name in FILES}
        entry = {"row": dict(row), "sha256": hashes}
        if checkpoint is not None:
            entry["checkpoint"] = _keep_checkpoint(checkpoint, fresh / CHECKPOINT, most_mb << 20)
        write_json(fresh / "run.json", entry)
        if _row_of(shelf / key, checkpoint is not None) is None:
            shutil.rmtree(shelf / key, ignore_errors=True)
            try:
                fresh.rename(shelf / key)
            except OSError:  # where there are no locks, another process may have been first this very moment
                if _row_of(shelf / key, checkpoint is not None) is None:
                    raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def kept_checkpoint(journal: Path, key: str) -> tuple[Path, dict[str, str]]:
    """The folder of a run's kept checkpoint, and the SHA-256 of each of its files.

    Raises:
        Unkeepable: the candidate left what cannot be kept.
    """
    kept = journal / key[:2] / key
    about = read_json(kept / "run.json")["checkpoint"]
    if about["fault"]:
        raise Unkeepable(about["fault"])
    return kept / CHECKPOINT, about["sha256"]


def _keep_checkpoint(source: Path, target: Path, most: int) -> dict[str, Any]:
    """Copy a checkpoint; what the journal's entry says of it."""
    try:
        return {"sha256": copy_checkpoint(source, target, most=most), "fault": None}
    except Unkeepable as unkeepable:
        shutil.rmtree(target, ignore_errors=True)
        return {"sha256": {}, "fault": str(unkeepable)}


def _row_of(kept: Path, with_checkpoint: bool = False) -> dict[str, Any] | None:
    """The row of a kept run whose files are all as they were written."""
    if not kept.exists():
        return None
    try:
        entry = read_json(kept / "run.json")
        hashes = {name: entry["sha256"][name] for name in FILES}
        if with_checkpoint and entry["row"]["status"] == "ok":
            if "checkpoint" not in entry:
                return None
            hashes |= {f"{CHECKPOINT}/{name}": sha256 for name, sha256 in entry["checkpoint"]["sha256"].items()}
        if all(sha256_file(kept / name) == sha256 for name, sha256 in hashes.items()):
            return entry["row"]
    except (InputError, OSError, LookupError, TypeError):
        pass
    warnings.warn(f"{kept}: damaged; the run is trained again", stacklevel=3)
    return None
