"""A study's results for notebooks: `tmelt.read_study("results/my_study").trials`.

Works while a study is running (trials, histories, proposals) and after its evidence was computed (all tables).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from tmelt.errors import InputError
from tmelt.history import History, Proposal
from tmelt.protocol_record import Protocol, read_protocol


@dataclass(frozen=True)
class Study:
    """The results under one folder; frames are polars, columns as in tmelt.schema and tmelt.evidence.schema."""

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
        """All trials of all searches so far (tmelt.schema.TRIAL)."""
        from tmelt.evidence.reading import concat_histories

        return concat_histories([self._last_histories[search] for search in self.searches])

    @cached_property
    def tables(self) -> list[str]:
        """Names of the tables that have been computed."""
        return sorted(path.stem for path in (self.folder / "tables").glob("*.parquet"))

    def table(self, name: str) -> pl.DataFrame:
        """One table of the evidence (see tmelt.evidence.schema).

        Raises:
            InputError: it has not been computed; names those that have.
        """
        from tmelt.schema import read_table

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
        """One run's predictions in target units (tmelt.schema.PREDICTIONS)."""
        from tmelt.schema import PREDICTIONS, read_table

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


def read_study(folder: Path | str) -> Study:
    """The results of a study, e.g. `read_study("results/my_study").trials`.

    Raises:
        InputError: the folder does not hold a study.
    """
    folder = Path(folder)
    if not (folder / "protocol.json").is_file():
        raise InputError(f"{folder}: not a study's folder (no protocol.json); give results/<study>")
    return Study(folder)
