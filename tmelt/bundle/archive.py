"""The bundle as a file: a plain ZIP, nothing compressed, its members named and hashed in bundle.json.

| member | holds |
|---|---|
| `bundle.json` | format, study, winner, knobs, backbone, harness, training data, what was measured, hashes |
| `model_card.md` | the same for people |
| `train.py` | the candidate's script |
| `checkpoints/s{seed}/…` | what the script's `fit` left, one folder per seed |
| `residuals.json` | absolute residuals on the proteins of select, ascending: the intervals come from them |
| `training_sequences.txt` | SHA-256 of each sequence of fit and stop, ascending |
| `reference.json` | the study's best reference predictor, as numbers; bundles of before lack it |

The hashes show damage and careless edits. They are no signature: the script is code to be run in a sandbox, and what
bundle.json says is believed only within the bounds of tmelt.bundle.about.
"""

import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tmelt.bundle.about import check_about
from tmelt.errors import InputError
from tmelt.storage.files import atomic_path, sha256_json

if TYPE_CHECKING:
    from tmelt.bundle.reference import Reference

FORMAT = 1
ABOUT, CARD, SCRIPT = "bundle.json", "model_card.md", "train.py"
RESIDUALS, SEQUENCES, REFERENCE = "residuals.json", "training_sequences.txt", "reference.json"
_NEEDED = {CARD, SCRIPT, RESIDUALS, SEQUENCES}
# Larger ones are not read into memory. A million training proteins have 65 MB of hashes.
_MOST_BYTES = {
    ABOUT: 32 << 20,
    CARD: 32 << 20,
    SCRIPT: 4 << 20,
    RESIDUALS: 256 << 20,
    SEQUENCES: 1 << 30,
    REFERENCE: 32 << 20,
}
_MOST_MEMBERS = 100_000
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
        """A member's text.

        Raises:
            InputError: it is no text.
        """
        with zipfile.ZipFile(self.path) as archive:
            content = archive.read(name)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{self.path}: {name} is no text; copy the bundle again from its study") from None

    def residuals(self) -> list[float]:
        """Absolute residuals in target units, ascending.

        Raises:
            InputError: they are something else.
        """
        try:
            found = json.loads(self.text(RESIDUALS))
        except (ValueError, RecursionError):
            found = None
        sound = isinstance(found, list) and all(type(one) in (int, float) and 0 <= one < math.inf for one in found)
        if not sound or found != sorted(found):
            raise InputError(
                f"{self.path}: {RESIDUALS} holds no ascending errors; copy the bundle again from its study"
            )
        return [float(one) for one in found]

    def reference(self) -> "Reference":
        """The study's best reference predictor.

        Raises:
            InputError: there is none, or it is something else.
        """
        from tmelt.bundle.reference import read_reference

        if REFERENCE not in self.about["members"]:
            raise InputError(f"{self.path}: holds no reference predictor; make the bundle again with this tmelt")
        return read_reference(self.text(REFERENCE), self.path)

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
    tampered = f"{path}: not as it was written ({{}}); copy it again from its study"
    _check_sizes(path, archive, tampered)
    try:
        about = json.loads(archive.read(ABOUT), parse_constant=_no_constant)
        written = about["format"]
    except (KeyError, ValueError, TypeError, RecursionError):
        raise InputError(f"{path}: not a bundle of tmelt (no readable {ABOUT} in it)") from None
    if written != FORMAT:
        raise InputError(
            f"{path}: is of bundle format {written!r}, and this tmelt reads {FORMAT}; use the tmelt it names"
        )
    if about.get("sha256") != sha256_json({key: value for key, value in about.items() if key != "sha256"}):
        raise InputError(tampered.format(f"{ABOUT} was changed"))
    check_about(about, path)
    if sorted(names) != sorted({*about["members"], ABOUT}) or not about["members"].keys() >= _NEEDED:
        raise InputError(tampered.format("members are missing, added or doubled"))
    places = tuple(f"checkpoints/s{seed}/" for seed in about["seeds"])
    for name, sha256 in about["members"].items():
        if _reaches_out(name) or not (name in {*_NEEDED, REFERENCE} or name.startswith(places)):
            raise InputError(tampered.format(f"{name!a} is no member that a bundle has"))
        with archive.open(name) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise InputError(tampered.format(f"{name} was changed"))
    return about


def _check_sizes(path: Path, archive: zipfile.ZipFile, tampered: str) -> None:
    """Refuse members that would take more memory or disk than the file itself, before any is read.

    Raises:
        InputError: a compressed or too large member, or too many.
    """
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise InputError(tampered.format(f"{len(members)} members, and {_MOST_MEMBERS} are the most"))
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise InputError(tampered.format(f"{member.filename!a} is compressed, and no member of a bundle is"))
        if member.file_size > _MOST_BYTES.get(member.filename, member.file_size):
            raise InputError(tampered.format(f"{member.filename} has {member.file_size} bytes"))
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise InputError(tampered.format("its members share their bytes"))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _reaches_out(name: str) -> bool:
    """Whether a member's name could leave the folder that it is unpacked into."""
    parts = PurePosixPath(name).parts
    return name.startswith("/") or ".." in parts or "\\" in name or not parts or "/".join(parts) != name
