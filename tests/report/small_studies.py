"""Simulated studies for the report: whole ones by the project's own scripts, and ones of which parts are missing."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
from make_tables import make_tables
from simulated_study import SimulatedStudy, train_confirmation, write_study

from tmelt.evidence.make import TABLES
from tmelt.report.inputs import ReportStudy, read_report_study
from tmelt.report.page import write_report
from tmelt.storage.files import read_json, write_json
from tmelt.storage.schema import CLEANING, write_table

EVERYTHING = ("winner", "baseline", "ablation", "projection", "interaction", "budget", "fraction", "organism")
KINDS = {"random": {}, "bo": {"startup": 4}, "ra": {"model": "playbook"}, "ua": {"model": "playbook"}}
CLEANED = [
    {"step": 1, "what": "the same sequence twice", "decision": "averaged", "rows": 3, "left": 297},
    {"step": 2, "what": "Tm outside 10 to 120 °C", "decision": "dropped", "rows": 1, "left": 296},
]
UNUSABLE_REPLIES = {
    "status": "stopped",
    "stopped_at": 5,
    "reason": "20 replies in a row could not be used (stop_after_unusable: 20); the last one: no JSON object",
    "cause": "unusable_replies",
    "circumstances": None,
    "llm_calls": 3,
}


@dataclass(frozen=True)
class Made:
    """Where a study lies."""

    study: Path
    data: Path

    @property
    def paths(self) -> dict[str, Path]:
        """Arguments of the report."""
        return {
            "study": self.study,
            "tables": self.study / "tables",
            "protocol": self.study / "protocol.json",
            "data": self.data,
        }

    def read(self) -> ReportStudy:
        """As the report reads it."""
        return read_report_study(**self.paths)

    def report(self, folder: Path) -> Path:
        """Write the report; returns the page."""
        return write_report(**self.paths, folder=folder)


def make_study(
    root: Path,
    *,
    strategies: Sequence[str] = ("random", "ra", "ua"),
    trajectories: int = 2,
    iterations: int = 6,
    purposes: Sequence[str] = EVERYTHING,
    fresh_seeds: Sequence[int] = (1_000_000, 1_000_001),
    failing: Callable[[str, int, int], str | None] | None = None,
    tables: Sequence[str] | None = None,
    not_tried: Sequence[str] = (),
) -> Made:
    """A simulated study with settings and cleaning, tabulated by the project's scripts.

    Args:
        not_tried: strategies whose last search ended because of unusable replies.
        tables: the scripts to run; all of them by default. Tables that none of them writes are empty.
    """
    simulated = write_study(
        root, strategies=strategies, trajectories=trajectories, iterations=iterations, fresh_seeds=fresh_seeds,
        proteins=160, failing=failing,
    )  # fmt: skip
    made = Made(simulated.study, simulated.data)
    add_settings(simulated)
    for name in not_tried:
        marker = simulated.study / name / f"t{trajectories - 1}" / "blocks" / f"{iterations}.json"
        write_json(marker, UNUSABLE_REPLIES)
    confirmed = [name for name in simulated.strategies if name not in not_tried]
    train_confirmation(replace(simulated, strategies=confirmed), purposes=purposes)
    if tables is None:
        make_tables(simulated)
    else:
        make_tables(simulated, tuple(tables))
    fill_up(made)
    return made


def copy_study(simulated: SimulatedStudy, root: Path) -> Made:
    """A copy of a simulated study that has its tables, with settings and cleaning."""
    study = shutil.copytree(simulated.study, root / "study")
    data = shutil.copytree(simulated.data, root / simulated.data.name)
    add_settings(replace(simulated, study=study, data=data))
    made = Made(study, data)
    fill_up(made)
    return made


def fill_up(made: Made) -> None:
    """Write the tables that are missing, empty."""
    for name, schema in TABLES.items():
        path = made.study / "tables" / f"{name}.parquet"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            pq.write_table(schema.empty_table(), path)


def add_settings(simulated: SimulatedStudy) -> None:
    """What other parts of the workflow leave: each strategy's settings and the cleaning table."""
    for name in simulated.strategies:
        settings = {"kind": name, "options": KINDS.get(name, {}), "program": None}
        write_json(simulated.study / name / "strategy.json", settings)
    write_table(simulated.data / "cleaning.parquet", CLEANED, CLEANING)


def edit_json(path: Path, **changes) -> None:
    """Change keys of a JSON file."""
    write_json(path, read_json(path) | changes)


def edit_facts(made: Made, **changes) -> None:
    """Change data.json and the protocol's copy of it alike."""
    edit_json(made.data / "data.json", **changes)
    edit_json(made.paths["protocol"], data=read_json(made.data / "data.json"))


def edit_table(made: Made, name: str, change: Callable[[dict], dict]) -> None:
    """Change every row of a table."""
    path = made.study / "tables" / f"{name}.parquet"
    write_table(path, [change(row) for row in pq.read_table(path).to_pylist()], TABLES[name])


def with_key(text: str, **changes) -> str:
    """A JSON object with other values."""
    return json.dumps(json.loads(text) | changes)
