"""Column by column what the Parquet files hold, and their one writer and reader.

Every column carries its meaning and unit in the file itself (Arrow field metadata `meaning`).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tmelt.errors import InputError
from tmelt.storage.files import atomic_path


def column(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    """A column that says what it holds, with its unit."""
    return pa.field(name, kind, metadata={"meaning": meaning})


S, N, F = pa.string(), pa.int64(), pa.float64()

SPLITS = ("fit", "stop", "val", "select", "test")
HIDDEN = ("val", "select", "test")  # parts whose labels no candidate sees; a search is told of val alone

PROTEINS = pa.schema([
    column("protein_id", S, "name of the protein"),
    column("sequence", S, "amino acids, one letter each; X where masked"),
    column("organism", S, "organism, or null"),
    column("split", S, "fit, stop, val, select or test"),
    column("tm", F, "label in target units; null for val, select and test"),
])  # fmt: skip

LABELS = pa.schema([
    column("protein_id", S, "name of the protein"),
    column("tm", F, "label in target units"),
    column("family", S, "cluster of homologous sequences, over which errors are not independent"),
    column("parent", S, "what the protein is a variant of, or null"),
])  # fmt: skip

CLEANING = pa.schema([
    column("step", N, "order of the step"),
    column("what", S, "what was looked for"),
    column("decision", S, "what was done with it"),
    column("rows", N, "rows of the table that were affected"),
    column("left", N, "rows left after the step"),
])  # fmt: skip

CLEANING_ROWS = pa.schema([
    column("protein_id", S, "name of the protein"),
    column("row", N, "line of the text file, or row of the Parquet file, counted from 1"),
    column("what", S, "the step that touched it, as in cleaning.parquet"),
    column("before", S, "as it stood; labels of val, select and test stay in the vault"),
    column("after", S, "as it is used, or `dropped`"),
])  # fmt: skip

AUDIT = pa.schema([
    column("check", S, "what was looked for: a name of tmelt.study.config.AuditCheck"),
    column("level", S, "ok; caution; accepted: it would stop, but the config accepts it"),
    column("measured", F, "what was measured, in the unit of the threshold; null where nothing could be"),
    column("threshold", F, "the config's threshold of the level, or of a caution where the level is ok"),
    column("text", S, "what was found, in words; no single label of val, select or test"),
])  # fmt: skip

SEGMENT = pa.schema([
    column("sequence_sha256", S, "SHA-256 of the amino-acid string"),
    column("offset", N, "first row of the protein in the segment's data file"),
    column("length", N, "rows of the protein: its residues"),
])  # fmt: skip

EMBEDDING_INDEX = pa.schema([
    column("protein_id", S, "name of the protein"),
    column("view", S, "fit or pool: the folder whose residues.f16 holds it"),
    column("offset", N, "first row of the protein in residues.f16"),
    column("length", N, "rows of the protein: its residues, all of them"),
    column("sequence_sha256", S, "SHA-256 of the amino-acid string"),
    column("tokens", N, "tokens of the forward pass it went through, padding included"),
    column("beyond_crop", pa.bool_(), "longer than the 1,022 residues that ESM-2 saw in training"),
])  # fmt: skip

POOL = pa.schema([
    column("protein_id", S, "name of the protein"),
    column("role", S, "val, select, test, stop or decoy (a protein of fit), in the pool's order"),
])  # fmt: skip

RUN = pa.schema([
    column("seed", N, "training seed"),
    column("status", S, "ok, crash, timeout, oom, disk, invalid or tamper; refused or stopped: it was not run"),
    column("reason", S, "one word from the harness's closed list, or null"),
    column("fit_mae", F, "MAE in target units on decoys from fit, measured by the harness"),
    column("stop_mae", F, "MAE in target units on stop, measured by the harness"),
    column("parameter_count", N, "trainable parameters, as the candidate reports them"),
    column("checkpoint_mb", F, "size of the checkpoint, measured"),
    column("epochs", N, "epochs trained, as the candidate reports them"),
    column("reports", S, "numbers that the script passed to task.report in fit, the last of each name, as JSON"),
    column("fit_s", F, "seconds of fit by the budget's clock: CPU seconds per granted thread; on a GPU wall-clock"),
    column("predict_s", F, "seconds of predict by the same clock"),
    column("cut_by_clock", pa.bool_(), "fit ended for lack of time: killed, 95 % of its time used, or told of the end"),
    column("cpu_s", F, "CPU seconds of fit and predict, all threads and processes"),
    column("wall_s", F, "wall-clock seconds of fit and predict"),
    column("ended_at", F, "when predict ended, or fit where it failed: Unix time, seconds; null where it was not run"),
    column("device_s", F, "seconds that a GPU was held, by equal shares of the seeds on it; 0 on CPU"),
    column("memory_mb", F, "peak resident memory of the process tree"),
    column("sandbox", S, "backend that confined the candidate"),
    column("device", S, "cpu or the GPU's name"),
    column("host_cpu", S, "processor model"),
])  # fmt: skip

CURVE = pa.schema([
    column("epoch", N, "passes over fit so far"),
    column("fit_loss", F, "training loss, as the candidate reports it"),
    column("stop_mae", F, "MAE in target units on stop, as the candidate reports it"),
    column("learning_rate", F, "learning rate, as the candidate reports it"),
    column("reports", S, "numbers passed to task.report since the epoch before, as JSON; or null"),
])  # fmt: skip

PREDICTIONS = pa.schema([
    column("protein_id", S, "name of the protein"),
    column("split", S, "val, select or test; or stop, whose labels candidates are given"),
    column("prediction", F, "predicted label in target units"),
])  # fmt: skip

TRIAL = pa.schema([
    column("strategy", S, "name of the strategy in the config"),
    column("trajectory", N, "replicate of the search"),
    column("iteration", N, "trial number; 0 is the baseline"),
    column("status", S, "ok; crash, timeout, oom, disk, invalid, tamper (a run failed); refused, stopped (not run)"),
    column("integrity", S, "clean, table_like (its script), timed_out, not_row_wise or tampered"),
    column("origin", S, "who proposed it: baseline, or an origin that the kind of the strategy declares"),
    column("parent", N, "iteration of the trial it was changed from, or null"),
    column("script", S, "SHA-256 of the training script"),
    column("script_lines", N, "lines of the training script"),
    column("knobs", S, "active knobs as JSON"),
    column("proposal", S, "the rest of the proposal as JSON: rationale, hypothesis, subspace, state, …"),
    column("fidelity", F, "share of a full training that it was given; below 1 it is a cheap trial, no incumbent"),
    column("seeds", pa.list_(N), "training seeds"),
    column("val_mae_by_seed", pa.list_(F), "validation MAE in target units per seed, rounded to 0.01"),
    column("val_mae", F, "mean over seeds of the validation MAE in target units, rounded to 0.01; null unless ok"),
    column("val_mae_sd", F, "standard deviation over seeds"),
    column("fit_mae", F, "mean over seeds of the MAE on fit decoys in target units"),
    column("stop_mae", F, "mean over seeds of the MAE on stop in target units"),
    column("parameter_count", N, "trainable parameters, as the candidate reports them"),
    column("checkpoint_mb", F, "size of the checkpoint, measured"),
    column("decision", S, "baseline, keep, discard or inconclusive; partial for a cheap trial that ended ok"),
    column("incumbent", N, "iteration of the incumbent after this trial"),
    column("difference", F, "val MAE minus the incumbent's before, over common seeds; null if not compared"),
    column("margin", F, "difference that counts as one: noise of seeds and proteins; null if not compared"),
    column("fit_s", F, "seconds of fit by the budget's clock, sum over seeds"),
    column("cut_by_clock", N, "training seeds whose fit ended for lack of time"),
    column("cpu_s", F, "CPU seconds, sum over seeds"),
    column("device_s", F, "GPU seconds, sum over seeds"),
    column("memory_mb", F, "largest peak memory over seeds"),
    column("diagnostics", S, "epochs, curve, reports, errors on stop: means over seeds, as JSON"),
    column("cost_usd", F, "price of the LLM calls; null when unknown"),
    column("llm_calls", N, "LLM calls"),
    column("prompt_tokens", N, "tokens sent; null when unknown"),
    column("completion_tokens", N, "tokens received; null when unknown"),
    column("tool_calls", N, "tools that the agent used before it proposed, checks of its script included"),
    column("tool_s", F, "seconds of its checks and tries by the budget's clock"),
    column("tool_cpu_s", F, "CPU seconds of its checks and tries"),
    column("tool_device_s", F, "GPU seconds of its checks and tries"),
    column("error", S, "end of the fit log of the first failed run, or why it was refused or stopped; or null"),
    column("chain", S, "SHA-256 over the chain before and this row: shows tampering"),
])  # fmt: skip


def write_table(path: Path | str, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> None:
    """Write rows as Parquet (zstd), atomically; every row has exactly the schema's columns.

    Raises:
        KeyError: a row with a missing or an unknown column.
    """
    rows = list(rows)
    names = set(schema.names)
    for row in rows:
        if row.keys() != names:
            raise KeyError(f"{path}: columns {sorted(names ^ row.keys())} do not fit the schema")
    with atomic_path(path) as temporary:
        pq.write_table(as_arrow(rows, schema), temporary, compression="zstd")


def as_arrow(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table of exactly this schema, the meanings of its columns included; see `as_frame`."""
    return as_frame(rows, schema).to_arrow().cast(schema)


def as_frame(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pl.DataFrame:
    """Rows as a frame with exactly the schema's columns and types; a missing key is null, an unknown one is left out.

    `pa.Table.from_pylist` and `Schema.empty_table` would import pandas where it is installed: a fifth of a second in
    every job.

    Raises:
        polars.exceptions.ComputeError: a value that its column cannot hold.
    """
    kinds = {field.name: _polars_type(field.type) for field in schema}
    return pl.DataFrame(list(rows), schema=kinds, orient="row")


def _polars_type(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return pl.List(_polars_type(kind.value_type))
    return {S: pl.String, N: pl.Int64, F: pl.Float64, pa.bool_(): pl.Boolean}[kind]


def write_frame(path: Path | str, frame: pl.DataFrame) -> None:
    """Write a polars frame as Parquet (zstd), atomically: for benchmarks; a study's tables have schemas."""
    with atomic_path(path) as temporary:
        frame.write_parquet(temporary, compression="zstd")


def read_table(path: Path | str, schema: pa.Schema | None = None, remedy: str = "delete it") -> pl.DataFrame:
    """Read a Parquet file and, given a schema, check its columns.

    Args:
        remedy: what to do about a damaged file before one runs again.

    Raises:
        InputError: the file is missing, truncated, not Parquet, or has other columns.
    """
    try:
        frame = pl.read_parquet(path, hive_partitioning=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pl.exceptions.ComputeError, OSError) as error:
        raise InputError(
            f"{path}: not a readable Parquet file ({str(error).splitlines()[0]}); {remedy} and run again"
        ) from None
    if schema is not None and frame.columns != schema.names:
        raise InputError(f"{path}: columns {frame.columns} instead of {schema.names}; {remedy} and run again")
    return frame


def read_run_table(path: Path, schema: pa.Schema) -> pl.DataFrame:
    """Read a table of a run, whose folder is made again as a whole: to Snakemake run.parquet stands for it.

    Raises:
        InputError: as `read_table`; what to do is to delete the folder.
    """
    remedy = f"delete {path.parent}"
    if not path.exists():
        raise InputError(f"{path}: no such file; {remedy} and run again")
    return read_table(path, schema, remedy)
