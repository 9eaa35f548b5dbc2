"""Opening the hidden labels once the searches are over: the one place where test labels meet predictions."""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tmelt.errors import InputError
from tmelt.evidence.metrics import SCORE_NAMES, score
from tmelt.evidence.reading import read_predictions, read_runs
from tmelt.evidence.schema import CONFIRMED_PREDICTIONS, CONFIRMED_RUNS, OPENED_LABELS, RUNS
from tmelt.evidence.tables import table, typed
from tmelt.storage.files import read_json, sha256_file, write_json
from tmelt.storage.schema import HIDDEN, LABELS, read_table

SCORE_CHUNK = 500  # runs at a time
_VAL_SCORES = ("mae", "spearman", "within_rho")


def record_opening(
    log: Path, *, rule: str, why: str, labels: Sequence[Path], trials: pl.DataFrame, fresh_seeds: int, runs: int
) -> None:
    """Append to results/{study}/vault_log.json that labels are opened now: before they are, so that no opening is lost.

    The file is never an output of a workflow rule: outputs are deleted before a rule runs again.
    """
    with _alone(log.parent):
        _append(log, rule, why, labels, trials, fresh_seeds, runs)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other openings of the same study out: several external sets may be opened at a time."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: there the openings of one machine rarely meet
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _append(
    log: Path, rule: str, why: str, labels: Sequence[Path], trials: pl.DataFrame, fresh_seeds: int, runs: int
) -> None:
    entries = read_json(log) if log.exists() else []
    counts = trials.group_by("strategy", "trajectory", maintain_order=True).agg(trials=pl.len())
    searches = {f"{strategy}/t{trajectory}": count for strategy, trajectory, count in counts.iter_rows()}
    before = entries[-1]["searches"] if entries else {}
    entries.append(
        {
            "opening": len(entries) + 1,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "rule": rule,
            "why": why,
            "process": os.getpid(),
            "labels": {str(path): sha256_file(path) for path in labels},
            "searches": searches,
            "fresh_seeds": fresh_seeds,
            # Searches that went on after test scores could be seen: tmelt.evidence.looks charges each such look.
            "extended_since": sorted(name for name, count in searches.items() if count > before.get(name, count)),
            "runs": runs,
        }
    )
    write_json(log, entries)


def read_labels(proteins: Path, val: Path, select: Path, test: Path) -> pl.DataFrame:
    """Labels of val, select and test with what tells their proteins apart (tmelt.evidence.schema.OPENED_LABELS).

    A `cluster` column of proteins.parquet is used where there is one; else clusters are found by homology.

    Raises:
        InputError: labels for proteins that proteins.parquet does not have in that split, or missing ones.
    """
    frame = read_table(proteins)
    parts = [
        read_table(path, LABELS).drop("family").with_columns(split=pl.lit(split))
        for split, path in zip(HIDDEN, (val, select, test), strict=True)
    ]
    truth = pl.concat(parts).rename({"tm": "measured"})
    hidden = frame.filter(pl.col("split").is_in(HIDDEN))
    joined = hidden.join(truth, on=["protein_id", "split"], how="inner", maintain_order="left")
    if len(joined) != len(truth) or len(hidden) != len(truth):
        raise InputError(
            f"{proteins}: {len(hidden)} val, select and test proteins, but {len(truth)} labels, {len(joined)} in common"
        )
    cluster, identity = _relatives(frame)
    known = frame.select("protein_id", cluster=cluster, identity=identity)
    joined = joined.join(known, on="protein_id", how="left", suffix="_found", maintain_order="left")
    joined = joined.with_columns(tm=pl.col("measured"), length=pl.col("sequence").str.len_chars())
    if "cluster_found" in joined.columns:
        joined = joined.with_columns(cluster=pl.col("cluster").cast(pl.String).fill_null(pl.col("protein_id")))
    return typed(joined, OPENED_LABELS)


def _relatives(frame: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """For each protein: its family, and the identity of its nearest homologue in fit or stop (0 if none)."""
    from tmelt.proteins.cluster import cluster_homologues, find_homologues

    pairs = find_homologues(frame["sequence"].to_list())
    families = cluster_homologues(len(frame), pairs)
    training = frame["split"].is_in(["fit", "stop"]).to_numpy()
    identity = np.zeros(len(frame))
    for one, other in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
        seen = training[other]
        np.maximum.at(identity, one[seen], pairs.identity[seen])
    return pl.Series([f"family{number}" for number in families], dtype=pl.String), pl.Series(identity)


def score_runs(folders: Sequence[str], labels: pl.DataFrame) -> pl.DataFrame:
    """The runs in these folders with their exact scores; failed runs keep their status and have none.

    Returns:
        `folder`, tmelt.storage.schema.RUN and the score columns of tmelt.evidence.schema.RUNS.
    """
    runs = read_runs(folders) if len(folders) else read_runs([])
    ok = runs.filter(pl.col("status") == "ok")["folder"].to_list()
    tm, organisms = labels["tm"].to_numpy(), labels["organism"].to_list()
    parts: list[pl.DataFrame] = []
    for start in range(0, len(ok), SCORE_CHUNK):
        chunk = ok[start : start + SCORE_CHUNK]
        predictions = read_predictions(chunk, labels)
        columns: dict[str, Any] = {"folder": chunk}
        for split, names in (("val", _VAL_SCORES), ("select", ("mae",)), ("test", SCORE_NAMES)):
            inside = np.flatnonzero((labels["split"] == split).to_numpy())
            scores = score(predictions[:, inside], tm[inside], [organisms[i] for i in inside])
            columns |= {f"{split}_{name}": scores[name] for name in names}
        parts.append(pl.DataFrame(columns, nan_to_null=True))
    if not parts:
        names = [f"val_{name}" for name in _VAL_SCORES] + ["select_mae"] + [f"test_{name}" for name in SCORE_NAMES]
        return runs.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in names)
    return runs.join(pl.concat(parts), on="folder", how="left", maintain_order="left")


def score_search(runs: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """The table `runs`: every run of every search with exact validation and test scores.

    Args:
        runs: from `tmelt.evidence.reading.search_runs`.
    """
    scored = score_runs(runs["folder"].to_list(), labels)
    return typed(runs.join(scored.drop("seed"), on="folder", how="left", maintain_order="left"), RUNS)


def score_confirmation(plan: pl.DataFrame, folder: Path, labels: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables `confirmed_runs` and (for later rules) the predictions of all runs after the search.

    Args:
        plan: tmelt.evidence.schema.PLAN.
        folder: results/{study}/confirm.
    """
    runs = plan.select("candidate", seed="seeds").unique("candidate", maintain_order=True).explode("seed")
    runs = runs.drop_nulls("seed")
    if not len(runs):
        return table([], CONFIRMED_RUNS), table([], CONFIRMED_PREDICTIONS)
    runs = runs.with_columns(folder=pl.format("{}/{}/s{}", pl.lit(str(folder)), pl.col("candidate"), pl.col("seed")))
    scored = score_runs(runs["folder"].to_list(), labels)
    ok = scored.filter(pl.col("status") == "ok").join(runs.select("folder", "candidate"), on="folder")
    matrix = read_predictions(ok["folder"].to_list(), labels)
    proteins = len(labels)
    predictions = (
        pl.DataFrame(
            {
                "candidate": np.repeat(ok["candidate"].to_numpy(), proteins),
                "seed": np.repeat(ok["seed"].to_numpy(), proteins),
                "protein_id": np.tile(labels["protein_id"].to_numpy(), len(ok)),
                "split": np.tile(labels["split"].to_numpy(), len(ok)),
                "prediction": matrix.ravel(),
            }
        )
        if len(ok)
        else pl.DataFrame()
    )
    scored = runs.join(scored.drop("seed"), on="folder", how="left", maintain_order="left")
    return typed(scored, CONFIRMED_RUNS), typed(predictions, CONFIRMED_PREDICTIONS)
