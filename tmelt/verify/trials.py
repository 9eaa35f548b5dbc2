"""Recompute every trial of every search from its runs' predictions and the validation labels, by the scoring code."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tmelt.errors import InputError
from tmelt.harness.journal import FILES
from tmelt.jobs.amounts import extent_name
from tmelt.search.decision import Rule
from tmelt.search.history import History, Proposal, Trial, chain_of
from tmelt.search.scoring import score
from tmelt.storage.schema import TRIAL, read_table
from tmelt.study.protocol_record import Protocol
from tmelt.verify.group import Group, same
from tmelt.verify.page import compare_lines
from tmelt.verify.place import Place, script_function
from tmelt.verify.tables import compare_tables


def check_trials(group: Group, place: Place) -> None:
    """Compare each row with the recomputed one, each history with its rows and chain, and what was gathered."""
    if not group.present(place.data / "vault" / "val.parquet"):
        return
    for search in place.searches:
        if group.present(search / "i0" / "history.parquet"):
            _check_search(group, place, search)
            _check_gathered(group, place, search)


def _check_search(group: Group, place: Place, search: Path) -> None:
    rows: list[dict[str, Any]] = []  # as recomputed
    chain, before = "", None
    for iteration, folder in enumerate(place.trials(search)):
        stored = group.passes(lambda folder=folder: _stored(folder), folder / "trial.parquet", "file")
        if stored is None:
            return
        absent = [folder / f"s{seed}" / name for seed in stored["seeds"] for name in ("run.parquet", *FILES)]
        absent = [path for path in absent if not group.present(path)]
        row = (
            None
            if absent
            else _recomputed(group, place, search, folder, stored, History([Trial.of(row) for row in rows]))
        )
        row = stored if row is None else row
        for name in stored.keys() - {"chain"}:
            group.equal(folder / "trial.parquet", name, stored[name], row[name], f"iteration={iteration}")
        chain = chain_of(chain, stored)
        group.equal(folder / "trial.parquet", "chain", stored["chain"], chain, f"iteration={iteration}")
        chain = stored["chain"]
        rows.append(row)
        before = _check_history(group, folder / "history.parquet", stored, before)


def _recomputed(
    group: Group, place: Place, search: Path, folder: Path, stored: Mapping[str, Any], history: History
) -> dict[str, Any] | None:
    """The trial's row; None, with a difference, if the scoring code refuses its files.

    A revision may have changed the decision rule in the course of the search; any rule that was in force counts.
    """
    row = None
    for rule in _rules(place.protocol):
        try:
            row = score(
                proposal=Proposal.read(folder),
                strategy=search.parent.name,
                trajectory=int(search.name.removeprefix("t")),
                iteration=len(history),
                runs=[folder / f"s{seed}" for seed in stored["seeds"]],
                labels=place.data / "vault" / "val.parquet",
                history=history,
                rule=rule,
                proteins=place.data / "proteins.parquet",
                unit=place.protocol.design.target.unit,
            )
        except (InputError, OSError) as error:
            group.checked += 1
            group.differs(folder / "trial.parquet", "", "score", "a row", group.reason(error))
            return None
        if all(row[name] == stored[name] for name in ("decision", "incumbent")):
            break
    return row


def _rules(protocol: Protocol) -> list[Rule]:
    """Each decision rule that was in force, the present one first."""
    return list(dict.fromkeys(version.design.decision for version in reversed([*protocol.versions])))


def _stored(folder: Path) -> dict[str, Any]:
    frame = read_table(folder / "trial.parquet", TRIAL)
    if len(frame) != 1:
        raise InputError(f"{folder / 'trial.parquet'}: {len(frame)} rows instead of 1")
    return frame.row(0, named=True)


def _check_history(
    group: Group, file: Path, stored: Mapping[str, Any], before: pl.DataFrame | None
) -> pl.DataFrame | None:
    """Compare a history with the one before it and the trial's row; returns it for the next."""
    found = group.passes(lambda: read_table(file, TRIAL), file, "file")
    if found is None:
        return None
    past = found.head(len(found) - 1)
    group.checked += 1
    if before is not None and not past.equals(before):
        group.differs(file, "", "earlier trials", "other rows", "those of the history before")
    if not len(found) or not same(found.row(-1, named=True), dict(stored), group.tolerance):
        group.differs(file, "", "last trial", "another row", "that of trial.parquet")
    return found


def _check_gathered(group: Group, place: Place, search: Path) -> None:
    """Gather the search again into a temporary folder, and compare the table and the ledger."""
    names = [f"{what}_{extent_name(place.config, search.parent.name)}" for what in ("trials", "results")]
    trials, ledger = search / f"{names[0]}.parquet", search / f"{names[1]}.tsv"
    if not group.present(trials):
        return
    with tempfile.TemporaryDirectory(prefix="tmelt-verify-") as folder:
        fresh_trials, fresh_ledger = Path(folder, trials.name), Path(folder, ledger.name)
        gather = script_function("gather_trajectory")

        def gathered() -> bool:
            gather(
                trajectory=search,
                iterations=place.config.extent.most_trials_of(search.parent.name),
                trials=fresh_trials,
                ledger=fresh_ledger,
            )
            return True

        if group.passes(gathered, search, "history"):
            compare_tables(group, trials, fresh_trials)
            if ledger.exists():
                compare_lines(group, ledger, fresh_ledger)
