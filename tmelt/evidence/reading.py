"""Thousands of small result files as a few frames."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from tmelt.errors import InputError
from tmelt.evidence.tables import typed
from tmelt.storage.schema import CURVE, HIDDEN, PREDICTIONS, RUN, TRIAL, as_frame, read_table

CHUNK = 400  # files per scan: 400 × 2,500 predictions are some 40 MB


def concat_histories(paths: Sequence[Path]) -> pl.DataFrame:
    """The trials of all searches (TRIAL of tmelt.storage.schema), one file per search, in their order."""
    frames = [read_table(path, TRIAL) for path in paths]
    frame = typed(pl.concat(frames) if frames else pl.DataFrame(), TRIAL)
    return frame.sort("strategy", "trajectory", "iteration")


def search_runs(trials: pl.DataFrame, study: Path, seeds: Sequence[int]) -> pl.DataFrame:
    """Which runs the searches consist of, and where they lie: strategy, trajectory, iteration, seed, folder."""
    rows = [
        {
            "strategy": strategy,
            "trajectory": trajectory,
            "iteration": iteration,
            "seed": seed,
            "folder": str(study / strategy / f"t{trajectory}" / f"i{iteration}" / f"s{seed}"),
        }
        for strategy, trajectory, iteration in trials.select("strategy", "trajectory", "iteration").iter_rows()
        for seed in seeds
    ]
    kinds = {
        "strategy": pl.String,
        "trajectory": pl.Int64,
        "iteration": pl.Int64,
        "seed": pl.Int64,
        "folder": pl.String,
    }
    return pl.DataFrame(rows, schema=kinds)


def read_runs(folders: Sequence[str | Path]) -> pl.DataFrame:
    """run.parquet of each folder: a column `folder`, then tmelt.storage.schema.RUN, in the order given.

    Raises:
        InputError: a run that is missing, damaged or has other columns.
    """
    frame = _scan(folders, "run.parquet", RUN)
    if len(frame) != len(folders) or frame["folder"].n_unique() != len(folders):
        raise InputError(f"{Path(folders[0]).parent}: {len(frame)} rows in {len(folders)} run.parquet files")
    return frame


def read_curves(folders: Sequence[str | Path]) -> pl.DataFrame:
    """curve.parquet of each folder: a column `folder`, then those of CURVE; runs without epochs add no rows."""
    return _scan(folders, "curve.parquet", CURVE)


def _scan(folders: Sequence[str | Path], name: str, schema: pa.Schema) -> pl.DataFrame:
    empty = as_frame([], schema)
    frames = [empty.with_columns(folder=pl.lit("")).select("folder", *empty.columns)]
    for start in range(0, len(folders), CHUNK):
        paths = [f"{folder}/{name}" for folder in folders[start : start + CHUNK]]
        try:
            part = pl.scan_parquet(paths, include_file_paths="folder", hive_partitioning=False).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(_culprit(paths, str(error))) from None
        part = part.with_columns(pl.col("folder").str.strip_suffix(f"/{name}"))
        try:
            frames.append(part.select("folder", *empty.columns).cast(dict(empty.schema)))
        except pl.exceptions.PolarsError:
            raise InputError(f"{paths[0]} and others: columns {part.columns} instead of {empty.columns}") from None
    return pl.concat(frames)


def _culprit(paths: Sequence[str], message: str) -> str:
    """Which of many files cannot be read: a scan does not say."""
    for path in paths:
        if not Path(path).is_file():
            return f"{path}: no such file; run the study to its end"
        try:
            pl.read_parquet_schema(path)
        except (pl.exceptions.PolarsError, OSError):
            return f"{path}: not a readable Parquet file; delete its folder and run again"
    return f"{paths[0]} and others: {message.splitlines()[0]}"


def read_predictions(
    folders: Sequence[str | Path], proteins: pl.DataFrame, splits: Sequence[str] = HIDDEN
) -> np.ndarray:
    """Predictions of each run for each protein, in target units.

    Args:
        folders: runs that ended ok.
        proteins: protein_id and split, one row per protein of these splits.
        splits: the splits that are read.

    Returns:
        (runs, proteins) float64.

    Raises:
        InputError: a run whose predictions are not exactly one finite number for each of these proteins.
    """
    matrix = np.full((len(folders), len(proteins)), np.nan)
    wanted = " and ".join([", ".join(splits[:-1]), splits[-1]] if len(splits) > 1 else splits)
    place = proteins.select("protein_id", "split", column=pl.int_range(pl.len()))
    for start in range(0, len(folders), CHUNK):
        part = [str(folder) for folder in folders[start : start + CHUNK]]
        found = _scan(part, "predictions.parquet", PREDICTIONS).filter(pl.col("split").is_in(splits))
        rows = pl.DataFrame({"folder": part, "row": np.arange(start, start + len(part))})
        found = found.join(place, on=["protein_id", "split"], how="left").join(rows, on="folder", how="left")
        counts = found.group_by("folder").agg(
            pl.len(), known=pl.col("column").n_unique(), lost=pl.col("column").null_count()
        )
        wrong = counts.filter(
            (pl.col("len") != len(proteins)) | (pl.col("known") != len(proteins)) | (pl.col("lost") > 0)
        )
        missing = sorted(set(part) - set(counts["folder"]))
        if len(wrong) or (missing and len(proteins)):
            folder = missing[0] if missing else min(wrong["folder"])
            raise InputError(f"{folder}/predictions.parquet: not one prediction for each {wanted} protein")
        matrix[found["row"].to_numpy(), found["column"].to_numpy()] = found["prediction"].to_numpy()
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise InputError(f"{folders[bad[0]]}/predictions.parquet: a prediction is not finite")
    return matrix
