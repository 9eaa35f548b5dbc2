"""Finished studies as a comparison over data sets needs them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from tmelt.errors import InputError
from tmelt.evidence.make import TABLES
from tmelt.storage.files import read_json
from tmelt.storage.schema import read_table
from tmelt.study.protocol_record import read_protocol
from tmelt.study.target import TM, Target

_READ = ("winners", "strategies", "comparison", "baseline")


@dataclass(frozen=True)
class Finished:
    """A study with its tables.

    Attributes:
        folder: results/{study}.
        name: of the study.
        data: name of its data set; with the study's name where another study has a data set of that name.
        proteins: hash of its proteins and splits.
        tables: by name; the four that are read here.
        target: what is predicted.
        settings: strategy: its kind and options, without what no result depends on.
    """

    folder: Path
    name: str
    data: str
    proteins: str
    tables: dict[str, pl.DataFrame] = field(repr=False)
    settings: dict[str, Any] = field(repr=False)
    target: Target = TM

    @property
    def baseline(self) -> float:
        """Confirmed test error of the baseline."""
        return float(self.tables["baseline"]["test_mae"][0])


def read_studies(folders: Sequence[Path]) -> list[Finished]:
    """The studies in these folders, in their order.

    Raises:
        InputError: fewer than two; one that is not finished; two of the same proteins, which are one data set; or of
            different targets.
    """
    if len(folders) < 2:
        raise InputError("a comparison over data sets takes two studies or more: tmelt compare results/a results/b")
    studies = [_read(folder) for folder in folders]
    seen: dict[str, Finished] = {}
    for study in studies:
        if other := seen.get(study.proteins):
            raise InputError(
                f"{study.folder}: has the proteins of {other.folder}; a comparison over data sets takes one study of "
                "each, and searches of one data set are compared by its own report"
            )
        first = studies[0]
        if (study.target.name, study.target.unit) != (first.target.name, first.target.unit):
            raise InputError(
                f"{study.folder}: predicts {study.target.described}, {first.folder} {first.target.described}; a "
                "comparison over data sets takes studies of one target"
            )
        seen[study.proteins] = study
    shared = [study.data for study in studies]
    return [
        replace(study, data=f"{study.data} ({study.name})") if shared.count(study.data) > 1 else study
        for study in studies
    ]


def _read(folder: Path) -> Finished:
    protocol = folder / "protocol.json"
    missing = [path for path in (protocol, *(_table(folder, name) for name in _READ)) if not path.exists()]
    if missing:
        raise InputError(f"{missing[0]}: missing; {folder} is no finished study, run it to its report first")
    described = read_protocol(protocol)
    tables = {table: read_table(_table(folder, table), TABLES[table]) for table in _READ}
    if not len(tables["baseline"]) or tables["baseline"]["test_mae"][0] is None:
        raise InputError(f"{folder}: its baseline has no confirmed test error, and scores are relative to it")
    settings = {path.parent.name: read_json(path) for path in sorted(folder.glob("*/strategy.json"))}
    return Finished(
        folder,
        described.study,
        described.data.name,
        described.measured.proteins,
        tables,
        settings,
        described.design.target,
    )


def _table(folder: Path, name: str) -> Path:
    return folder / "tables" / f"{name}.parquet"


def common_strategies(studies: Sequence[Finished]) -> tuple[list[str], list[str]]:
    """(strategies with a confirmed winner in every study, what else must be known before one reads on).

    Raises:
        InputError: fewer than two of them.
    """
    found = [set(study.tables["strategies"].drop_nulls("test_mae")["strategy"]) for study in studies]
    first = studies[0].tables["strategies"]["strategy"].to_list()
    names = [name for name in first if all(name in own for own in found)]
    if len(names) < 2:
        raise InputError(
            f"{', '.join(str(study.folder) for study in studies)}: fewer than two strategies have a confirmed winner "
            "in every one of them; a strategy is known by its name in the config"
        )
    cautions = []
    if left := sorted(set().union(*found) - set(names)):
        cautions.append(f"Left out, for want of a confirmed winner on every data set: {', '.join(left)}.")
    for name in names:
        own = [study.settings.get(name) for study in studies]
        if any(one != own[0] for one in own):
            cautions.append(f"{name}: its settings differ between the studies; the name alone is the same.")
    return names, cautions
