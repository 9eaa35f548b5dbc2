"""Everything that a report is made from, read once."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from tmelt.embed.record import EmbeddingRecord
from tmelt.errors import InputError
from tmelt.evidence.comparison import BASELINE
from tmelt.evidence.incumbents import equivalents
from tmelt.evidence.make import TABLES
from tmelt.proteins.record import DataRecord, read_data
from tmelt.report.words import count, number
from tmelt.search.notes import UsedUp
from tmelt.search.spend import Meter
from tmelt.storage.files import read_json
from tmelt.storage.records import to_json
from tmelt.storage.schema import AUDIT, CLEANING, SPLITS, as_frame, read_table
from tmelt.strategies.kind import Kind
from tmelt.strategies.registry import kind_of
from tmelt.study.group import Group
from tmelt.study.protocol import differences
from tmelt.study.protocol_record import Protocol, read_protocol
from tmelt.study.target import Target


@dataclass(frozen=True)
class ReportStudy:
    """A finished study as the report sees it."""

    folder: Path
    tables: Mapping[str, pl.DataFrame] = field(repr=False)  # tmelt.evidence.make.TABLES
    protocol: Protocol = field(repr=False)
    facts: DataRecord = field(repr=False)  # data.json
    cleaning: pl.DataFrame = field(repr=False)  # tmelt.storage.schema.CLEANING
    audit: pl.DataFrame = field(default_factory=lambda: as_frame([], AUDIT), repr=False)  # tmelt.storage.schema.AUDIT
    vault_log: tuple[Mapping[str, Any], ...] = ()
    looks: tuple[Mapping[str, Any], ...] = ()  # the registered contrast at each look (tmelt.evidence.looks)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # strategy: its strategy.json
    used_up: Mapping[tuple[str, int], UsedUp] = field(default_factory=dict)  # (strategy, search): its budget, used
    references: tuple[Mapping[str, Any], ...] = ()  # external results (tmelt.study.config.Reference)
    configs: tuple[str, ...] = ()  # files that the study is run with, as its command names them

    def __getitem__(self, table: str) -> pl.DataFrame:
        return self.tables[table]

    @cached_property
    def strategies(self) -> list[str]:
        """Names in the order in which they are shown: by what searches (`order` of its kind), never by how well."""

        def place(name: str) -> tuple[float, str]:
            kind = self.kind(name)
            return kind.order if kind else math.inf, name

        return sorted(self["trials"]["strategy"].unique().to_list(), key=place)

    def kind(self, strategy: str) -> Kind | None:
        """The kind of a strategy; None if the package that declares it is not installed where the report is made."""
        with contextlib.suppress(InputError):
            return kind_of(self.settings.get(strategy, {}).get("kind", strategy))
        return None

    @cached_property
    def scripted(self) -> list[str]:
        """Strategies whose agent is the project's scripted playbook and no LLM."""
        return [name for name in self.strategies if self.model(name) == "playbook"]

    @cached_property
    def not_tried(self) -> dict[str, str]:
        """Strategies that are in no comparison because their model's replies could not be used, and the cause."""
        told: dict[str, str] = {}
        for (name,), rows in self["not_tried"].group_by("strategy", maintain_order=True):
            row = rows.row(0, named=True)
            share = f"{len(rows)} of {row['searches']} searches ended: " if row["searches"] > 1 else ""
            told[str(name)] = f"{share}{row['reason']}"
        return told

    def model(self, strategy: str) -> str | None:
        """The LLM that a strategy asks, `playbook`, or None for a strategy without an LLM."""
        return self.settings.get(strategy, {}).get("options", {}).get("model")

    @cached_property
    def trajectories(self) -> int:
        """Searches per strategy: the smallest number of any."""
        counts = self["trials"].group_by("strategy").agg(pl.col("trajectory").n_unique())
        return int(counts["trajectory"].min() or 0)

    @cached_property
    def lengths(self) -> pl.DataFrame:
        """strategy, trajectory, and trials after the baseline: full ones, as far as they were begun."""
        ordered = self["trials"].sort("iteration").group_by("strategy", "trajectory", maintain_order=True)
        ends = ordered.agg(equivalents().last())
        return ends.select("strategy", "trajectory", trials=pl.col("equivalents").ceil().cast(pl.Int64))

    @cached_property
    def has_cheap(self) -> bool:
        """Whether some trials had less than a full training."""
        return bool((self["trials"]["fidelity"] < 1).any())

    @cached_property
    def longest(self) -> int:
        """Trials after the baseline in the longest search, cheap ones as shares of a full one."""
        return int(self.lengths["trials"].max() or 0)  # type: ignore[arg-type]  # polars: a number

    @cached_property
    def length(self) -> str:
        """How long the searches were, in words."""
        most = f"up to {count(self.longest, 'trial')}"
        if self.has_cheap:
            most = f"up to {count(self.longest, 'full trial')} (cheap ones count as shares of one)"
        budgets = {(note.unit, note.limit) for note in self.used_up.values() if note.used is not None}
        if len(budgets) != 1:
            return most
        unit, amount = budgets.pop()
        meter = Meter(self.folder, self.protocol.design.device, unit)
        return f"{most}, each until it had used {meter.words(amount)}"

    @property
    def target(self) -> Target:
        """What is predicted, and how it is written."""
        return self.protocol.design.target

    @property
    def group(self) -> Group:
        """What proteins are grouped by."""
        return self.protocol.design.group

    def amount(self, value: float | None, digits: int = 2, *, signed: bool = False) -> str:
        """A number with the target's unit."""
        return self.target.amount(number(value, digits, signed=signed))

    def axis(self, quantity: str) -> str:
        """The title of an axis in the target's unit."""
        return self.target.axis(quantity)

    def head(self, quantity: str) -> str:
        """The head of a column in the target's unit."""
        return self.target.head(quantity)

    @property
    def synthetic(self) -> bool:
        """Whether the proteins were made by the project's generator."""
        return self.facts.synthetic

    @property
    def embedding(self) -> EmbeddingRecord:
        """What is known about the backbone."""
        return self.protocol.measured.embedding

    @property
    def untrained(self) -> bool:
        """Whether the backbone has random weights."""
        return self.embedding.untrained

    @property
    def other_weights(self) -> bool:
        """Whether the backbone's weights come from a file that is not known as the released one."""
        return not (self.untrained or self.imported) and not self.embedding.released

    @property
    def imported(self) -> bool:
        """Whether the embeddings were computed elsewhere."""
        return self.embedding.backbone == "imported"

    @property
    def unconfined(self) -> bool:
        """Whether candidates ran without a sandbox."""
        return "none" in self["runs"]["sandbox"].to_list() or self.protocol.design.sandbox == "none"

    @property
    def splits(self) -> dict[str, int]:
        """Proteins per split."""
        counts = self.facts.splits
        return {split: counts[split] for split in SPLITS if split in counts}

    @property
    def reference(self) -> str:
        """Hash of the reference training script."""
        return self.protocol.reference_sha256

    @cached_property
    def bands(self) -> pl.DataFrame:
        """Curves of the incumbents along every axis, dollars too."""
        return pl.concat([self["bands"], self["dollar_bands"]])

    @cached_property
    def best(self) -> dict[str, dict[str, Any]]:
        """For each strategy the winner to show in detail: the one with the lowest error on select."""
        chosen = self["winners"].drop_nulls("select_mae").sort("select_mae", "trajectory")
        rows = chosen.unique("strategy", keep="first", maintain_order=True).to_dicts()
        return {row["strategy"]: row for row in rows}

    @cached_property
    def confirmed(self) -> pl.DataFrame:
        """Strategies with a confirmed test error, in the order in which they are shown."""
        return self["strategies"].drop_nulls("test_mae").sort(self.place())

    def place(self, column: str = "strategy") -> pl.Expr:
        """To sort by: the baseline first, then the strategies in the order in which they are shown."""
        places = {name: place for place, name in enumerate([BASELINE, *self.strategies])}
        return pl.col(column).replace_strict(places, default=len(places))

    @cached_property
    def baseline(self) -> dict[str, Any]:
        """The confirmed baseline (tmelt.evidence.schema.BASELINE); every value is None without one."""
        rows = self["baseline"]
        return rows.row(0, named=True) if len(rows) else dict.fromkeys(rows.columns)

    def trial_folder(self, strategy: str, trajectory: int, iteration: int) -> Path:
        """Where a trial's files lie."""
        return self.folder / strategy / f"t{trajectory}" / f"i{iteration}"


def read_report_study(
    *,
    study: Path,
    tables: Path,
    protocol: Path,
    data: Path,
    configs: Sequence[str] = (),
    references: Sequence[Mapping[str, Any]] = (),
) -> ReportStudy:
    """Read all tables, protocol.json, the data set's facts, the vault's log and the strategies' settings.

    Raises:
        InputError: a file that is missing or is not what it should be.
    """
    described, facts, cleaning = read_protocol(protocol), read_data(data), data / "cleaning.parquet"
    if changes := differences(to_json(described.data), to_json(facts)):
        raise InputError(
            f"{data / 'data.json'}: not the data set of {protocol} ({changes[0]}); give the study's own folder"
        )
    audit = data / "audit.parquet"
    log, looks = study / "vault_log.json", study / "looks.json"
    return ReportStudy(
        folder=study,
        tables={name: read_table(tables / f"{name}.parquet", schema) for name, schema in TABLES.items()},
        protocol=described,
        facts=facts,
        cleaning=read_table(cleaning, CLEANING) if cleaning.exists() else as_frame([], CLEANING),
        audit=read_table(audit, AUDIT) if audit.exists() else as_frame([], AUDIT),
        vault_log=tuple(read_json(log)) if log.exists() else (),
        looks=tuple(read_json(looks)) if looks.exists() else (),
        settings={path.parent.name: read_json(path) for path in sorted(study.glob("*/strategy.json"))},
        used_up=_used_up(study),
        configs=tuple(configs),
        references=tuple(references),
    )


def _used_up(study: Path) -> dict[tuple[str, int], UsedUp]:
    """The budget in device seconds or dollars of each search that has stopped by it."""
    found = {}
    for path in sorted(study.glob("*/t*/blocks/*.json")):
        note = read_json(path).get("used_up")
        if note is not None and note["unit"] != "trials":
            found[path.parts[-4], int(path.parts[-3].removeprefix("t"))] = UsedUp(**note)
    return found
