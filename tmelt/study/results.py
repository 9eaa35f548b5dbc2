"""A study's results for notebooks: `tmelt.read_study("results/my_study").trials`; several at once: `read_studies`.

Works while a study is running (trials, histories, proposals) and after its evidence was computed (all tables).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from tmelt.errors import InputError
from tmelt.search.history import History, Proposal
from tmelt.study.protocol_record import Protocol, read_protocol


@dataclass(frozen=True)
class Study:
    """The results under one folder; frames are polars, columns as in tmelt.storage.schema and tmelt.evidence.schema."""

    folder: Path

    @cached_property
    def protocol(self) -> Protocol:
        """What makes the study's scores comparable."""
        return read_protocol(self.folder / "protocol.json")

    @cached_property
    def searches(self) -> list[tuple[str, int]]:
        """(strategy, trajectory) of each search that has begun."""
        return sorted((strategy, trajectory) for strategy, trajectory in self._last_histories)

    @cached_property
    def trials(self) -> pl.DataFrame:
        """All trials of all searches so far: tmelt.storage.schema.TRIAL, and a column `knob_{name}` for each knob.

        A knob that was not active in a trial, or that its script does not have, is null there. Whole numbers, numbers
        and true or false keep their type; a knob with values of several types is text.
        """
        from tmelt.evidence.reading import concat_histories

        return with_knobs(concat_histories([self._last_histories[search] for search in self.searches]))

    @cached_property
    def runs(self) -> pl.DataFrame:
        """All runs of these trials: strategy, trajectory, iteration, then tmelt.storage.schema.RUN.

        Raises:
            InputError: a run that is damaged.
        """
        from tmelt.evidence.reading import read_runs

        rows = [
            (strategy, trajectory, iteration, str(folder))
            for strategy, trajectory, iteration, seeds in self.trials.select(
                "strategy", "trajectory", "iteration", "seeds"
            ).iter_rows()
            for seed in seeds or ()
            if (folder := self._trial(strategy, trajectory, iteration) / f"s{seed}").joinpath("run.parquet").exists()
        ]
        kinds = {"strategy": pl.String, "trajectory": pl.Int64, "iteration": pl.Int64, "folder": pl.String}
        index = pl.DataFrame(rows, schema=kinds, orient="row")
        runs = read_runs(index["folder"].to_list())
        return index.join(runs, on="folder", how="left", maintain_order="left").drop("folder")

    @cached_property
    def tables(self) -> list[str]:
        """Names of the tables that have been computed."""
        return sorted(path.stem for path in (self.folder / "tables").glob("*.parquet"))

    def table(self, name: str) -> pl.DataFrame:
        """One table of the evidence (see tmelt.evidence.schema).

        Raises:
            InputError: it has not been computed; names those that have.
        """
        from tmelt.storage.schema import read_table

        if name not in self.tables:
            known = ", ".join(self.tables) or "none yet"
            raise InputError(f"{self.folder / 'tables'}: no table {name!r}; there are: {known}")
        return read_table(self.folder / "tables" / f"{name}.parquet")

    def history(self, strategy: str, trajectory: int = 0) -> History:
        """One search's trials in order, its hash chain checked.

        Raises:
            InputError: no such search, or a damaged file.
        """
        return History.read(self._history_file(strategy, trajectory))

    def proposal(self, strategy: str, trajectory: int, iteration: int) -> Proposal:
        """A trial's proposal with its training script."""
        return Proposal.read(self._trial(strategy, trajectory, iteration))

    def predictions(self, strategy: str, trajectory: int, iteration: int, seed: int) -> pl.DataFrame:
        """One run's predictions in target units (tmelt.storage.schema.PREDICTIONS)."""
        from tmelt.storage.schema import PREDICTIONS, read_table

        return read_table(
            self._trial(strategy, trajectory, iteration) / f"s{seed}" / "predictions.parquet", PREDICTIONS
        )

    def _trial(self, strategy: str, trajectory: int, iteration: int) -> Path:
        return self.folder / strategy / f"t{trajectory}" / f"i{iteration}"

    def _history_file(self, strategy: str, trajectory: int) -> Path:
        try:
            return self._last_histories[(strategy, trajectory)]
        except KeyError:
            known = ", ".join(f"{name}/t{number}" for name, number in self.searches) or "none yet"
            raise InputError(f"{self.folder}: no search {strategy}/t{trajectory}; there are: {known}") from None

    @cached_property
    def _last_histories(self) -> dict[tuple[str, int], Path]:
        """The longest history of each search."""
        longest: dict[tuple[str, int], tuple[int, Path]] = {}
        for path in self.folder.glob("*/t*/i*/history.parquet"):
            iteration, trajectory = (path.parts[-2][1:], path.parts[-3][1:])
            if iteration.isdigit() and trajectory.isdigit():
                key = (path.parts[-4], int(trajectory))
                longest[key] = max(longest.get(key, (-1, path)), (int(iteration), path))
        return {key: path for key, (_, path) in longest.items()}


@dataclass(frozen=True)
class Studies:
    """The results of several studies; each frame has a column `study` before those of a single study's."""

    studies: tuple[Study, ...]

    @cached_property
    def trials(self) -> pl.DataFrame:
        """All trials of all studies, as Study.trials; a knob that a study does not have is null there."""
        return self._together(lambda study: study.trials)

    @cached_property
    def tables(self) -> list[str]:
        """Names of the tables that every study has."""
        return sorted(set.intersection(*(set(study.tables) for study in self.studies)))

    def table(self, name: str) -> pl.DataFrame:
        """One table of all studies.

        Raises:
            InputError: it has not been computed in one of them.
        """
        return self._together(lambda study: study.table(name))

    def _together(self, frame_of: Callable[[Study], pl.DataFrame]) -> pl.DataFrame:
        frames = [
            frame_of(study).select(pl.lit(study.protocol.study).alias("study"), pl.all()) for study in self.studies
        ]
        return pl.concat(frames, how="diagonal_relaxed")


def with_knobs(trials: pl.DataFrame) -> pl.DataFrame:
    """Return trials with a column `knob_{name}` for each knob that any of them has, in the knobs' order.

    Args:
        trials: with a column `knobs` of JSON objects.
    """
    rows = [json.loads(knobs) for knobs in trials["knobs"]]
    names = dict.fromkeys(name for row in rows for name in row)
    return trials.with_columns(_knob(f"knob_{name}", [row.get(name) for row in rows]) for name in names)


def _knob(name: str, values: Sequence[object]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and kinds != {int}:
        return pl.Series(name, [None if value is None else float(str(value)) for value in values], dtype=pl.Float64)
    if len(kinds) > 1:
        return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
    return pl.Series(name, values)


def read_studies(folders: Sequence[Path | str]) -> Studies:
    """The results of several studies as one, e.g. `read_studies(["results/a", "results/b"]).trials`.

    Raises:
        InputError: a folder does not hold a study, two studies have one name, or there is none.
    """
    studies = tuple(read_study(folder) for folder in folders)
    names = [study.protocol.study for study in studies]
    if not studies:
        raise InputError("read_studies: no folder; give results/<study> for each study")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"read_studies: two of the studies are named {twice}; read them one by one")
    return Studies(studies)


def read_study(folder: Path | str) -> Study:
    """The results of a study, e.g. `read_study("results/my_study").trials`.

    Raises:
        InputError: the folder does not hold a study.
    """
    folder = Path(folder)
    if not (folder / "protocol.json").is_file():
        raise InputError(f"{folder}: not a study's folder (no protocol.json); give results/<study>")
    return Study(folder)
