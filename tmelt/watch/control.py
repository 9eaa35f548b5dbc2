"""Human oversight from the page: guidance, vetoes and a pause, written to the `guidance.yaml` that a search reads.

The file is the one that is written by hand otherwise (tmelt/strategies/guidance.py), so that the effect and the record
are the same. A comment in it is lost when it is saved from here.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tmelt.errors import InputError, first_complaint
from tmelt.storage.files import sha256_file
from tmelt.strategies.guidance import FILE, Guidance, read_guidance, write_guidance
from tmelt.strategies.registry import kind_of
from tmelt.study.config import Config

ABSENT = "absent"


class Conflict(InputError):
    """The file is not the one that the page showed."""


class Order(BaseModel):
    """What the page sends: the whole of a search's file, and the hash of the file that it is to replace."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    search: str
    seen: str
    orders: dict[str, Any]


@dataclass(frozen=True)
class Overseen:
    """One search as its form shows it.

    Attributes:
        name: strategy/t{trajectory}.
        agent: whether it reads guidance.
        guidance: what its file says.
        seen: SHA-256 of the file, or ABSENT.
        fault: why the file cannot be read, or None.
    """

    name: str
    agent: bool
    guidance: Guidance
    seen: str
    fault: str | None

    @property
    def words(self) -> str:
        """What is in force, in a few words; empty where nothing is."""
        told = self.guidance
        parts = ["guidance"] if told.guidance else []
        parts += [f"veto of {', '.join(map(str, told.veto))}"] if told.veto else []
        parts += [f"pause before trial {told.pause_before}"] if told.pause_before else []
        return ", ".join(parts)


class Control:
    """Reads and writes the guidance files of one study."""

    def __init__(self, config: Config, results: Path):
        self._study, self._lock = results / config.study, threading.Lock()
        self._agents = {
            f"{strategy}/t{number}": kind_of(options.kind).agent
            for strategy, options in config.extent.strategies.items()
            for number in range(config.extent.trajectories)
        }

    def read(self) -> Iterator[Overseen]:
        """Yield every search of the study, in the config's order."""
        for name, agent in self._agents.items():
            folder = self._study / name
            seen = _seen(folder)
            try:
                yield Overseen(name, agent, read_guidance(folder), seen, None)
            except InputError as error:
                yield Overseen(name, agent, Guidance.model_validate({}), seen, str(error))

    def write(self, body: bytes) -> dict[str, str]:
        """Write one search's file as the page orders it; an empty order removes the file.

        Args:
            body: JSON of an Order.

        Returns:
            `seen`, the hash of the new file, and `said`, what happens now.

        Raises:
            Conflict: the file was changed since the page showed it.
            InputError: no such search, an invalid value, or a veto that comes too late.
        """
        try:
            order = Order.model_validate_json(body)
            wanted = Guidance.model_validate(order.orders)
        except ValidationError as error:
            raise InputError(first_complaint(error)) from None
        if order.search not in self._agents:
            raise InputError(f"no search {order.search!r} in this study")
        folder = self._study / order.search
        with self._lock:
            if _seen(folder) != order.seen:
                raise Conflict(f"{folder / FILE} was changed since this page showed it; reload the page")
            before = read_guidance(folder)
            for iteration in sorted({*wanted.veto} - {*before.veto}):
                if _is_trained(folder / f"i{iteration}"):
                    raise InputError(f"trial {iteration} of {order.search} has been trained; a veto comes too late")
            write_guidance(folder, wanted)
            return {"seen": _seen(folder), "said": _said(before, wanted)}


def _said(before: Guidance, now: Guidance) -> str:
    said = "Saved. Guidance counts from the next proposal on; a training that has begun is not interrupted."
    if before.pause_before is not None and now.pause_before != before.pause_before:
        said += " If the search has stopped at its pause, start the study again once this run has ended."
    return said


def _seen(folder: Path) -> str:
    path = folder / FILE
    return sha256_file(path) if path.exists() else ABSENT


def _is_trained(trial: Path) -> bool:
    return (trial / "history.parquet").exists() or any(trial.glob("s*/run.parquet"))
