"""What a candidate left in its checkpoint folder, kept: plain files only, copied one by one; no link is followed.

Most checkpoints go with their sandbox. Those of the winners stay, for the bundle that a lab takes home.
"""

import hashlib
import os
from pathlib import Path

from tmelt.harness.predictions import Invalid, open_plain_file

MOST_FILES, MOST_DEPTH = 1000, 20  # files; folders inside one another
_PIECE = 1 << 20


class Unkeepable(Exception):
    """A checkpoint that cannot be copied as it is; the message names the file and the fault."""


def copy_checkpoint(source: Path, target: Path, *, most: int) -> dict[str, str]:
    """Copy a candidate's checkpoint folder, whose processes have ended.

    Args:
        source: the folder that `fit` filled.
        target: a folder that does not exist yet.
        most: bytes that all its files may have together.

    Returns:
        SHA-256 of each file by its name in the folder, as a POSIX path.

    Raises:
        Unkeepable: a link, a FIFO, a device, a second name of a file, an unreadable folder, a name that other systems
            could not have, too many files, folders or bytes.
    """
    target.mkdir(parents=True)
    hashes: dict[str, str] = {}
    for name in _names(source):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            with open_plain_file(source / name, most=most) as file, copy.open("wb") as out:
                while piece := file.read(min(_PIECE, most + 1)):
                    most -= len(piece)
                    if most < 0:  # it grew while it was read
                        raise Invalid("too_large")
                    digest.update(piece)
                    out.write(piece)
        except Invalid as invalid:
            fault = "is not a plain file" if invalid.reason != "too_large" else "is beyond the budget's disk_mb"
            raise Unkeepable(f"{_shown(name)} {fault}") from None
        hashes[name] = digest.hexdigest()
    return hashes


def _names(folder: Path) -> list[str]:
    """Everything below a folder but the folders themselves, in order of their names."""
    names: list[str] = []
    folders, seen = [""], 0
    while folders:
        inside = folders.pop()
        try:
            with os.scandir(folder / inside) as listing:
                entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
        except OSError as error:
            raise Unkeepable(f"{_shown(inside)} cannot be read ({error.strerror})") from None
        for name, is_folder in entries:
            path = f"{inside}/{name}" if inside else name
            if not name.isprintable() or "\\" in name or ":" in name:
                raise Unkeepable(f"{_shown(path)} is a name that other systems could not have")
            (folders if is_folder else names).append(path)
            seen += 1
            if seen > MOST_FILES or path.count("/") > MOST_DEPTH:
                raise Unkeepable(f"more than {MOST_FILES} files and folders, or {MOST_DEPTH} folders deep")
    return sorted(names)


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 60 else name[:57] + "...")
