"""Another study's transcripts, from its folder, a copy of it, or an archive: what `replay_from` names.

    protocol.json                               names the study, from which the searches' seeds derive
    {strategy}/strategy.json                    kind and options of each strategy
    {strategy}/t{trajectory}/guidance.yaml      what the user told an agent
    {strategy}/t{trajectory}/i{iteration}/llm/  the calls of one proposal
    models/{model}/                             the probe of each model

Everything else of a study may be missing. `tmelt export transcripts` writes these files into one archive.
"""

import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from tmelt.errors import InputError
from tmelt.storage.files import atomic_path

_PROTOCOL = "protocol.json"
_KEPT = re.compile(
    r"protocol\.json|[a-z]\w*/strategy\.json|[a-z]\w*/t\d+/guidance\.yaml|[a-z]\w*/t\d+/i\d+/llm/[^.].*"
    r"|models/[0-9a-f]+/(dialect\.json|[^./][^/]*/[^.][^/]*\.json)",
    re.ASCII,
)
_TRIAL = re.compile(r"([a-z]\w*)/t(\d+)/i(\d+)/llm/\d+.*", re.ASCII)


class ReplaySource:
    """The transcripts of one study."""

    def __init__(self, path: Path):
        """Find the files; nothing is read yet but protocol.json.

        Args:
            path: the study's folder, a folder with its transcripts alone, or a zip or tar archive of either.

        Raises:
            InputError: there is no such file, it is no archive, or it holds no study or several.
        """
        self.path = path
        self._files = _open(path)
        roots = sorted(
            (str(PurePosixPath(name).parent) for name in self._files.names if PurePosixPath(name).name == _PROTOCOL),
            key=lambda root: (root != ".", root),
        )
        if not roots or (len(roots) > 1 and roots[0] != "."):
            found = "several" if roots else "no"
            raise InputError(
                f"config: replay_from: {path}: {found} {_PROTOCOL} in it; name the folder results/NAME of one study, or"
                " an archive by `tmelt export transcripts results/NAME`"
            )
        self._prefix = "" if roots[0] == "." else f"{roots[0]}/"
        self._protocol = self._json(_PROTOCOL)
        if not isinstance(self._protocol, dict) or not isinstance(self._protocol.get("study"), str):
            raise InputError(f"config: replay_from: {path}: its {_PROTOCOL} names no study; restore it")

    @property
    def seeds_of(self) -> str:
        """The study from whose name the seeds of the recorded searches derive."""
        return str(self._protocol.get("seeds_of") or self._protocol["study"])

    @property
    def design(self) -> Mapping[str, Any]:
        """What made its scores comparable, as its protocol.json has it."""
        return dict(self._protocol.get("design") or {})

    @cached_property
    def names(self) -> list[str]:
        """The files that count, by their names below the study's folder."""
        inside = (name.removeprefix(self._prefix) for name in self._files.names if name.startswith(self._prefix))
        return sorted(name for name in inside if _KEPT.fullmatch(name) and ".." not in PurePosixPath(name).parts)

    @cached_property
    def trials(self) -> Mapping[tuple[str, int], list[int]]:
        """The trials with a recorded call, by strategy and trajectory."""
        found: dict[tuple[str, int], list[int]] = {}
        for match in filter(None, map(_TRIAL.fullmatch, self.names)):
            numbers = found.setdefault((match[1], int(match[2])), [])
            if int(match[3]) not in numbers:
                numbers.append(int(match[3]))
        return {search: sorted(numbers) for search, numbers in found.items()}

    def described(self, strategy: str) -> Mapping[str, Any] | None:
        """Its strategy.json; None where the source has none."""
        name = f"{strategy}/strategy.json"
        return self._json(name) if name in self.names else None

    def copy_trial(self, folder: Path) -> None:
        """Copy the calls of a trial, and the guidance of its search unless the new search has one.

        Args:
            folder: the new trial's, …/{strategy}/t{trajectory}/i{iteration}.
        """
        search = "/".join(folder.parts[-3:-1])
        self._copy(f"{search}/{folder.name}/llm/", folder / "llm")
        guidance = f"{search}/guidance.yaml"
        if guidance in self.names and not (target := folder.parent / "guidance.yaml").exists():
            self._write(guidance, target)

    def copy_probe(self, folder: Path) -> None:
        """Copy the probe of a model.

        Args:
            folder: the new study's, …/models/{model}.

        Raises:
            InputError: it is not recorded.
        """
        if not self._copy(f"models/{folder.name}/", folder):
            raise InputError(
                f"{self.path}: no probe of this model (models/{folder.name}); take the model's settings as they are in"
                " the recorded study, or remove replay_from to ask the model"
            )

    def read(self, name: str) -> bytes:
        """The bytes of one of `names`."""
        return self._files.read(self._prefix + name)

    def _copy(self, start: str, folder: Path) -> int:
        chosen = [name for name in self.names if name.startswith(start) and not name.endswith("/dialect.json")]
        for name in chosen:
            self._write(name, folder / name.removeprefix(start))
        return len(chosen)

    def _write(self, name: str, target: Path) -> None:
        content = self.read(name)
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)

    def _json(self, name: str) -> Any:
        try:
            return json.loads(self.read(name))
        except ValueError as error:
            raise InputError(f"config: replay_from: {self.path}: {name}: not valid JSON ({error})") from None


class _Folder:
    def __init__(self, path: Path):
        self._path = path
        self.names = list(_below(path))

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()


class _Zip:
    def __init__(self, path: Path):
        self._archive = zipfile.ZipFile(path)
        self.names = [name for name in self._archive.namelist() if not name.endswith("/")]

    def read(self, name: str) -> bytes:
        return self._archive.read(name)


class _Tar:
    def __init__(self, path: Path):
        self._archive = tarfile.open(path)  # noqa: SIM115 - read as long as the source is used
        self._members = {member.name.removeprefix("./"): member for member in self._archive if member.isfile()}
        self.names = list(self._members)

    def read(self, name: str) -> bytes:
        file = self._archive.extractfile(self._members[name])
        assert file is not None  # it is a file
        return file.read()


def _open(path: Path) -> _Folder | _Zip | _Tar:
    if path.is_dir():
        return _Folder(path)
    if not path.is_file():
        raise InputError(f"config: replay_from: {path}: no such file or folder; give its path there")
    if zipfile.is_zipfile(path):
        return _Zip(path)
    if tarfile.is_tarfile(path):
        return _Tar(path)
    raise InputError(f"config: replay_from: {path}: not a folder, nor a zip or tar archive")


def _below(folder: Path) -> Iterator[str]:
    """The files of a study's folder, or of a folder with one in it, by their names below `folder`."""
    patterns: Iterable[str] = (
        _PROTOCOL, "*/strategy.json", "*/t*/guidance.yaml", "*/t*/i*/llm/**/*", "models/**/*",
    )  # fmt: skip
    if not (folder / _PROTOCOL).exists():
        patterns = [f"*/{pattern}" for pattern in patterns]
    for pattern in patterns:
        yield from (path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())
