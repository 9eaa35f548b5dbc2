"""The bundle as a file: a plain ZIP, nothing compressed, its members named and hashed in bundle.json.

| member | holds |
|---|---|
| `bundle.json` | format, study, winner, knobs, backbone, harness, training data, what was measured, hashes |
| `model_card.md` | the same for people |
| `train.py` | the candidate's script |
| `checkpoints/s{seed}/…` | what the script's `fit` left, one folder per seed |
| `residuals.json` | absolute residuals on the proteins of select in °C, ascending: the intervals come from them |
| `training_sequences.txt` | SHA-256 of each sequence of fit and stop, ascending |

The hashes show damage and careless edits. They are no signature: the script is code to be run in a sandbox.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tmelt.errors import InputError
from tmelt.files import atomic_path, sha256_json

FORMAT = 1
ABOUT, CARD, SCRIPT = "bundle.json", "model_card.md", "train.py"
RESIDUALS, SEQUENCES = "residuals.json", "training_sequences.txt"
_NEEDED = {CARD, SCRIPT, RESIDUALS, SEQUENCES}
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # one time for all members: the same contents are the same file


def write_archive(path: Path, about: Mapping[str, Any], members: Mapping[str, bytes | Path]) -> dict[str, Any]:
    """Write a bundle, atomically.

    Args:
        about: what bundle.json holds, but `format`, `members` and `sha256`.
        members: contents by name, or the file that they are in.

    Returns:
        bundle.json, complete.
    """
    hashes = {}
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            hashes[name] = _add(archive, name, members[name])
        complete = {**about, "format": FORMAT, "members": hashes}
        complete["sha256"] = sha256_json(complete)
        text = json.dumps(complete, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        _add(archive, ABOUT, text.encode())
    return complete


def _add(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> str:
    """Add a member; its SHA-256."""
    member = zipfile.ZipInfo(name, _LONG_AGO)
    member.external_attr = 0o100644 << 16  # a plain file, readable when unpacked
    if isinstance(content, bytes):
        archive.writestr(member, content)
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file, archive.open(member, "w", force_zip64=True) as out:
        shutil.copyfileobj(file, out, 1 << 20)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A bundle whose members are all as bundle.json describes them."""

    path: Path
    about: dict[str, Any]

    def text(self, name: str) -> str:
        """A member's text."""
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(name).decode("utf-8")

    def unpack_checkpoints(self, folder: Path) -> None:
        """Write checkpoints/ below `folder`, readable for everybody."""
        with zipfile.ZipFile(self.path) as archive:
            for name in sorted(self.about["members"]):
                if name.startswith("checkpoints/"):
                    copy = folder / name
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(name) as file, copy.open("wb") as out:
                        shutil.copyfileobj(file, out, 1 << 20)
        for seed in self.about["seeds"]:  # a script may have left nothing
            (folder / "checkpoints" / f"s{seed}").mkdir(parents=True, exist_ok=True)
        for path in (folder / "checkpoints").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        (folder / "checkpoints").chmod(0o755)


def open_bundle(path: Path) -> Bundle:
    """Open a bundle and compare every member with its hash.

    Raises:
        InputError: missing, no bundle, of another format, or not as it was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return Bundle(path, _checked(path, archive))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; a study leaves its bundle at results/{{study}}/bundle/") from None
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise InputError(f"{path}: not a readable bundle ({error}); copy it again from its study") from None


def _checked(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    names = archive.namelist()
    try:
        about = json.loads(archive.read(ABOUT))
        written = about["format"]
    except (KeyError, ValueError, TypeError):
        raise InputError(f"{path}: not a bundle of tmelt (no readable {ABOUT} in it)") from None
    if written != FORMAT:
        raise InputError(
            f"{path}: is of bundle format {written!r}, and this tmelt reads {FORMAT}; use the tmelt it names"
        )
    tampered = f"{path}: not as it was written ({{}}); copy it again from its study"
    if about.get("sha256") != sha256_json({key: value for key, value in about.items() if key != "sha256"}):
        raise InputError(tampered.format(f"{ABOUT} was changed"))
    if sorted(names) != sorted({*about["members"], ABOUT}) or not about["members"].keys() >= _NEEDED:
        raise InputError(tampered.format("members are missing, added or doubled"))
    for name, sha256 in about["members"].items():
        if _reaches_out(name) or archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
            raise InputError(tampered.format(f"{name!a} is no member that a bundle has"))
        with archive.open(name) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise InputError(tampered.format(f"{name} was changed"))
    return about


def _reaches_out(name: str) -> bool:
    """Whether a member's name could leave the folder that it is unpacked into."""
    parts = PurePosixPath(name).parts
    return name.startswith("/") or ".." in parts or "\\" in name or not parts or "/".join(parts) != name
