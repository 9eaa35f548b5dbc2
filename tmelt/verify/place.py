"""The files of a finished study: where they are, and the config that its page was made with."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from tmelt.errors import InputError
from tmelt.storage.files import read_json
from tmelt.study.config import FRESH_SEEDS, Config, parse_config
from tmelt.study.identity import PACKAGE
from tmelt.study.protocol_record import Protocol, read_protocol

ROOT = PACKAGE.parent  # of the checkout: Snakefile, rules/, scripts/
RECORD = "report/config.json"


@dataclass(frozen=True)
class Place:
    """A study's folder, and the folders of its data and embedding beside it."""

    study: Path

    @classmethod
    def of(cls, study: Path) -> "Place":
        """The study in this folder.

        Raises:
            InputError: no study, no finished page, or no checkout to recompute it with.
        """
        place = cls(study.absolute())
        if not (place.study / "protocol.json").is_file():
            raise InputError(f"{study}: not a study's folder (no protocol.json); give results/<study>")
        if not (place.study / RECORD).is_file():
            raise InputError(f"{study / RECORD}: no such file; run the study to its report, which writes it")
        if not (ROOT / "Snakefile").is_file():
            raise InputError(f"{ROOT}: no Snakefile; run tmelt verify from a checkout of the project")
        return place

    @property
    def results(self) -> Path:
        """The results folder that the study is in."""
        return self.study.parent

    @cached_property
    def protocol(self) -> Protocol:
        """protocol.json."""
        return read_protocol(self.study / "protocol.json")

    @cached_property
    def record(self) -> dict[str, Any]:
        """What the report recorded: `config`, and `configs`, the names of the files it came from."""
        record = read_json(self.study / RECORD)
        if not isinstance(record, dict) or not {"config", "configs"} <= record.keys():
            raise InputError(f"{self.study / RECORD}: expected the keys config and configs; make the report again")
        return record

    @cached_property
    def config(self) -> Config:
        """The config that the page was made with."""
        return parse_config(self.record["config"], str(self.study / RECORD))

    @property
    def dataset(self) -> str:
        """Folder name of the data set."""
        return self.protocol.design.dataset

    @property
    def data(self) -> Path:
        """results/data/{dataset}."""
        return self.results / "data" / self.dataset

    @property
    def embedding(self) -> Path:
        """results/embeddings/{dataset}/{backbone}."""
        return self.results / "embeddings" / self.dataset / self.protocol.design.backbone

    @property
    def searches(self) -> Iterator[Path]:
        """The folder of each search."""
        for strategy in self.config.extent.strategies:
            for trajectory in range(self.config.extent.trajectories):
                yield self.study / strategy / f"t{trajectory}"

    def trials(self, search: Path) -> Iterator[Path]:
        """The folders of a search's trials in order, as far as they were scored; stopped ones included."""
        for iteration in range(self.config.extent.most_trials_of(search.parent.name) + 1):
            folder = search / f"i{iteration}"
            if not (folder / "history.parquet").exists():
                return
            yield folder

    @property
    def candidates(self) -> list[Path]:
        """The folders of what was trained after the searches."""
        return sorted(path for path in (self.study / "confirm").glob("c*") if path.is_dir())

    @property
    def fresh_seeds(self) -> list[int]:
        """Seeds of the confirmation."""
        return [FRESH_SEEDS + number for number in range(self.config.extent.confirm_seeds)]


def script_function(script: str, function: str | None = None) -> Callable[..., Any]:
    """The function of a rule's script; its name is the script's unless given."""
    path = ROOT / "scripts" / f"{script}.py"
    spec = importlib.util.spec_from_file_location(f"tmelt_script_{script}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: not a Python file")
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function or script)
