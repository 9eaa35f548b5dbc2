"""Which part of a study is being made, from the files that are there."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tmelt.jobs.amounts import plan_name
from tmelt.study.config import Config
from tmelt.study.identity import backbone_id, dataset_id


@dataclass(frozen=True)
class Stage:
    """A part of the work, and how much of it is done."""

    name: str
    done: int = 0
    of: int = 0  # 0: cannot be counted

    def words(self) -> str:
        """As a few words."""
        return f"{self.name} {self.done} of {self.of}" if self.of else self.name


class Stages:
    """The parts of one study, in their order."""

    def __init__(self, config: Config, results: Path):
        """Look up the names of the shared folders.

        Raises:
            InputError: the data's source file is missing.
        """
        dataset = dataset_id(config.design.data)
        backbone = backbone_id(config.design.backbone, config.runtime.embed_tokens, config.design.device)
        self.study = results / config.study
        self.data = results / "data" / dataset / "data.json"
        self.embedding = results / "embeddings" / dataset / backbone / "embedding.json"
        self._config = config
        self._candidates: list[str] | None = None

    def now(self, done: int, left: int) -> Stage:
        """Return what is being made.

        Args:
            done: scored trials of all searches.
            left: trials that are still to come.
        """
        if done == 0 and not self.data.exists():
            return Stage("preparing proteins")
        if done == 0 and not self.embedding.exists():
            return Stage("embedding proteins")
        if done == 0 and not (self.study / "rehearsal.json").exists():
            return Stage("trying the reference script in the sandbox")
        if left:
            return Stage("trials", done, done + left)
        return self.after_searches()

    def after_searches(self) -> Stage:
        """Return what is being made once the last trial is scored."""
        if (self.study / "report" / "report.html").exists():
            return Stage("report finished")
        done, planned = self.confirmed()
        if planned is None:
            return Stage("choosing winners")
        if done < planned:
            return Stage("retraining candidates on fresh seeds", done, planned)
        return Stage("tables, report and bundle")

    def confirmed(self) -> tuple[int, int | None]:
        """Return how many candidates were retrained, of how many; None before the confirmation is planned."""
        plan = self.study / "confirm" / plan_name(self._config)
        if self._candidates is None:
            if not plan.exists():
                return 0, None
            self._candidates = sorted(pl.read_parquet(plan, hive_partitioning=False)["candidate"].unique())
        name = f"runs_c{self._config.extent.confirm_seeds}.parquet"
        folder = self.study / "confirm"
        return sum((folder / each / name).exists() for each in self._candidates), len(self._candidates)
