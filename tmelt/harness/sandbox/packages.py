"""Installed packages outside the interpreter's own folders: on PYTHONPATH, in .pth files, behind links.

Clusters' module systems and environments that link elsewhere put them there; phases must be able to read them. A folder
counts only if packages were installed into it: a source checkout may hold the study, labels included.
"""

import os
import site
import sys
from collections.abc import Iterator
from pathlib import Path

_NAMES = ("site-packages", "dist-packages")


def outside_packages() -> list[str]:
    """Real paths of these folders, and of packages that links in a folder of packages lead to."""
    own = [os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix)]
    found = {
        place
        for entry in sys.path
        if holds_packages(Path(entry))
        for place in (os.path.realpath(entry), *_linked(Path(entry)))
    }
    return sorted(place for place in found if not any(Path(place).is_relative_to(prefix) for prefix in own))


def search_path() -> list[str]:
    """The part of `sys.path` that a new interpreter without this one's environment would not find by itself."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if site.ENABLE_USER_SITE:
        entries.append(site.getusersitepackages())
    return [os.path.abspath(entry) for entry in entries if entry and holds_packages(Path(entry))]  # noqa: PTH100


def holds_packages(folder: Path) -> bool:
    """Whether an installer put packages into a folder."""
    try:
        return folder.is_dir() and (folder.name in _NAMES or any(folder.glob("*.dist-info")))
    except OSError:
        return False


def _linked(folder: Path) -> Iterator[str]:
    """Packages and modules in `folder` that are links, or whose files are."""
    for entry in folder.iterdir():
        target = Path(os.path.realpath(entry))
        if entry.is_symlink():
            if target.suffix in (".py", ".so") or (target / "__init__.py").is_file() or holds_packages(target.parent):
                yield str(target)
        elif entry.is_dir():
            with os.scandir(entry) as files:
                first = next((file.path for file in files if not file.is_dir(follow_symlinks=False)), None)
            home = Path(os.path.realpath(first)).parent if first else entry
            if first and Path(first).is_symlink() and home.name == entry.name:  # an installer's cache of files
                yield str(home)
