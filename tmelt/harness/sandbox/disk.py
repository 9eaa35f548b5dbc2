"""How much of the disk a phase has filled, and clearing it away."""

import os
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# More entries than any checkpoint needs; also keeps the walk, and with it the watchdog, quick.
_MAX_ENTRIES = 20_000


def used_mb(folders: Iterable[str]) -> float:
    """Disk use below `folders`; infinite with too many entries or some that cannot be seen (too deep, unreadable)."""
    blocks = entries = 0
    to_visit = list(folders)
    while to_visit:
        try:
            with os.scandir(to_visit.pop()) as listing:
                for entry in listing:
                    entries += 1
                    if entries > _MAX_ENTRIES:
                        return float("inf")
                    blocks += _blocks(entry)
                    if entry.is_dir(follow_symlinks=False):
                        to_visit.append(entry.path)
        except FileNotFoundError:
            pass
        except OSError:
            return float("inf")
    return blocks / 2048


def _blocks(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks
    except FileNotFoundError:
        return 0


def remove_tree(folder: Path | str) -> None:
    """Delete a folder that a candidate wrote to: very deep trees and unreadable folders included."""
    with suppress(OSError):  # mostly it is empty, and starting a program takes longer than the rest
        Path(folder).rmdir()
        return
    # shutil.rmtree recurses, and ends with a RecursionError on a tree that is a few thousand folders deep.
    if subprocess.run(["rm", "-rf", "--", folder], stderr=subprocess.DEVNULL).returncode:
        subprocess.run(["chmod", "-R", "u+rwX", "--", folder], stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", "--", folder], check=True)
