"""The searches of a study as an Optuna storage (SQLite): `optuna-dashboard sqlite:///results/{study}/export/optuna.db`.

One Optuna study per search, named `strategy/t0`, in which a trial's number is the iteration and time is the time of
training. And one per strategy, named `strategy`, with the trials of all its searches in the order in which they really
began, at their real times; the search and the iteration are user attributes there.

A trial's value is its validation MAE as the search saw it; a trial that failed or was refused is FAIL and has none. A
cheap trial is PRUNED: its validation MAE is an intermediate value, whose step is the thousandths of a full training
that it had. Knobs are parameters, what else is known of a trial is a user attribute. Nothing that test labels were
needed for is in it.

The relational storage and not Optuna's journal file: both open in the dashboard, but this one is one file that other
tools read as well, and it is complete when it is renamed into place.
"""

import json
import math
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tmelt.export.trial_times import Times, trial_times
from tmelt.search.knobs import Knob, KnobError, Space, Value, knobs_from_table
from tmelt.storage.files import atomic_path
from tmelt.strategies.optuna_space import distribution
from tmelt.study.protocol_record import Protocol

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

# The clock of a search's own study starts here and runs while it trains, so that searches can be compared.
CLOCK = datetime(1970, 1, 1)
CLOCK_NOTE = "seconds of training since the search began, counted from 1970-01-01"
REAL_NOTE = "UTC, from a trial's first training to the end of its last; one that was not run starts with the one before"
_COPIED = (
    "status", "integrity", "origin", "parent", "decision", "script_lines", "seeds", "val_mae_by_seed", "val_mae_sd",
    "fidelity", "fit_mae", "stop_mae", "parameter_count", "checkpoint_mb", "fit_s", "cut_by_clock", "cpu_s", "device_s",
    "memory_mb", "cost_usd", "llm_calls", "prompt_tokens", "completion_tokens", "error",
)  # fmt: skip
_PROPOSED = ("rationale", "hypothesis", "expected_effect", "subspace")


def export_optuna(trials: pl.DataFrame, runs: pl.DataFrame, protocol: Protocol, database: Path) -> None:
    """Write the storage, atomically; the same tables give the same studies.

    Args:
        trials: tmelt.storage.schema.TRIAL of all searches.
        runs: tmelt.export.trial_times.COLUMNS of the trials' runs.
        protocol: protocol.json.
        database: the SQLite file.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with atomic_path(database) as temporary:
        connect = partial(_connect, temporary)
        storage = optuna.storages.RDBStorage("sqlite:///optuna.db", engine_kwargs={"creator": connect})
        try:
            for name, clock, frozen in _studies(trials, runs, protocol):
                study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    study.set_metric_names([protocol.design.target.axis("validation MAE")])
                about = {
                    "tmelt_study": protocol.study,
                    "title": protocol.title,
                    "protocol_sha256": protocol.sha256,
                    "clock": clock,
                }
                for key, value in about.items():
                    study.set_user_attr(key, value)
                study.add_trials(frozen)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file by its path, and not by a URL, in which a `?` of a folder's name would begin the options.

    Nothing is synchronised until the whole is: thousands of small transactions would each wait for the disk.
    """
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")
    return connection


def _studies(
    trials: pl.DataFrame, runs: pl.DataFrame, protocol: Protocol
) -> Iterator[tuple[str, str, list["FrozenTrial"]]]:
    """Name, note on the clock, and trials of each Optuna study: those of searches, then those of strategies."""
    space, reference = protocol.space, protocol.reference_sha256
    for (strategy, trajectory), rows in trials.group_by("strategy", "trajectory", maintain_order=True):
        timed = list(_by_training(rows.sort("iteration").to_dicts()))
        yield f"{strategy}/t{trajectory}", CLOCK_NOTE, frozen_trials(timed, space, reference)
    times = trial_times(trials, runs)
    for (strategy,), rows in trials.group_by("strategy", maintain_order=True):
        timed = [
            (row | {"search": f"t{row['trajectory']}"}, times[key])
            for row in rows.to_dicts()
            if (key := (row["strategy"], row["trajectory"], row["iteration"])) in times
        ]
        timed.sort(key=lambda pair: (pair[1].start, pair[0]["trajectory"], pair[0]["iteration"]))
        yield str(strategy), REAL_NOTE, frozen_trials(timed, space, reference)


def _by_training(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], Times]]:
    """Rows of one search in order of iteration, on the clock of its training."""
    clock = CLOCK
    for row in rows:
        start, clock = clock, clock + timedelta(seconds=row["fit_s"] or 0.0)
        yield row, Times(start, clock)


def frozen_trials(
    timed: Iterable[tuple[Mapping[str, Any], Times]], space: Space, reference: str
) -> list["FrozenTrial"]:
    """The trials of one Optuna study.

    Args:
        timed: tmelt.storage.schema.TRIAL and the times of each trial, in order; `search` in a row names its search.
        space: the study's knobs.
        reference: SHA-256 of the reference script.
    """
    from optuna.trial import TrialState, create_trial

    names = _Names(space)
    frozen = []
    for row, times in timed:
        full = row["fidelity"] == 1
        good = row["status"] == "ok" and row["val_mae"] is not None and math.isfinite(row["val_mae"])
        proposal = json.loads(row["proposal"])
        params, distributions, left = names.parameters(
            json.loads(row["knobs"]), proposal.get("declared_knobs") or (), row["script"]
        )
        trial = create_trial(
            state=(TrialState.COMPLETE if full else TrialState.PRUNED) if good else TrialState.FAIL,
            value=row["val_mae"] if good and full else None,
            intermediate_values={round(1000 * row["fidelity"]): row["val_mae"]} if good and not full else None,
            params=params,
            distributions=distributions,
            user_attrs=_attributes(row, proposal, reference, left),
        )
        trial.datetime_start, trial.datetime_complete = times.start, times.complete
        frozen.append(trial)
    return frozen


def _attributes(
    row: Mapping[str, Any], proposal: Mapping[str, Any], reference: str, left: Mapping[str, Value]
) -> dict[str, Any]:
    """What the dashboard shows beside a trial; what is unknown or empty is left out."""
    found = {name: row[name] for name in _COPIED} | {name: proposal.get(name) for name in _PROPOSED}
    found |= {
        "script_sha256": row["script"],
        "reference_script": row["script"] == reference,
        "incumbent": row["incumbent"] == row["iteration"],
        "knobs_without_range": dict(left),
    }
    if "search" in row:
        found |= {"search": row["search"], "iteration": row["iteration"]}
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


class _Names:
    """Parameter names of one Optuna study. Optuna wants one kind of range per name; scripts declare what they like."""

    def __init__(self, space: Space):
        self._space = space
        self._taken: dict[str, tuple[Any, ...]] = {knob.name: _signature(knob) for knob in space}

    def parameters(
        self, knobs: Mapping[str, Value], declared: Iterable[Mapping[str, Any]], script: str
    ) -> tuple[dict[str, Value], dict[str, "BaseDistribution"], dict[str, Value]]:
        """Parameters, their distributions, and the knobs that have no range in which their value lies.

        A knob that a script declares is a parameter like others. Where an earlier script declared the same name with
        another kind of range, it is `name (script 1a2b3c4d)`.
        """
        own: dict[str, Knob] = {}
        for described in declared:
            try:
                (knob,) = knobs_from_table([described])
            except KnobError:
                continue
            own[knob.name] = knob
        params: dict[str, Value] = {}
        distributions: dict[str, Any] = {}
        left: dict[str, Value] = {}
        for name, value in knobs.items():
            knob = self._space[name] if name in self._space else own.get(name)
            try:
                value = knob.check(value) if knob else value
            except KnobError:
                knob = None
            if knob is None:
                left[name] = value
                continue
            if self._taken.setdefault(name, _signature(knob)) != _signature(knob):
                name = f"{name} (script {script[:8]})"
            params[name], distributions[name] = value, distribution(knob)
        return params, distributions, left


def _signature(knob: Knob) -> tuple[Any, ...]:
    """What Optuna wants to be the same for all parameters of one name in a study."""
    return knob.kind, knob.log, tuple(map(repr, knob.choices))
