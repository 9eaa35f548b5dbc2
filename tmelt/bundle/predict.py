"""From a file of new proteins to a file of predictions: read, embed, predict per seed, put an interval around it."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import torch

from tmelt.bundle.archive import REFERENCE, SCRIPT, SEQUENCES, Bundle, open_bundle
from tmelt.bundle.card import target_of
from tmelt.bundle.sequences import Query, read_queries
from tmelt.bundle.verdict import verdict
from tmelt.embed.chunks import RESIDUES_AT_ONCE, chunks
from tmelt.errors import InputError
from tmelt.evidence.conformal import half_width
from tmelt.export.csv_tables import write_csv
from tmelt.storage.schema import F, N, S, column, write_table
from tmelt.study.target import Target
from tmelt.text.safe import one_line

_OTHERS = ("protein_id", "length", "seed_sd", "low", "high", "level", "warning")


def predicted_column(target: Target) -> str:
    """Name of the column of predictions: `tm`, or the target's."""
    return f"predicted_{target.key}" if target.key in _OTHERS else target.key


def predicted_schema(target: Target) -> pa.Schema:
    """The columns of a file of predictions."""
    about = f"predicted {target.name}{target.in_unit}, mean over the bundle's seeds; null where not predicted"
    return pa.schema([
        column("protein_id", S, "name of the protein"),
        column("length", N, "residues"),
        column(predicted_column(target), F, about),
        column("seed_sd", F, f"standard deviation over the seeds{target.in_unit}; null with one"),
        column("low", F, f"lower end of the interval{target.in_unit}"),
        column("high", F, f"upper end of the interval{target.in_unit}"),
        column("level", F, "share of new proteins that the interval is to hold"),
        column("warning", S, "why the prediction must be read with care, or null"),
    ])  # fmt: skip


FORMATS = (".parquet", ".csv")
SKIPPED_SHOWN = 20  # entries named on stderr


def predict_file(
    proteins: Path,
    *,
    bundle: Path,
    output: Path,
    level: float,
    weights: Path | None,
    embeddings: Path | None,
    sandbox: str,
    sandbox_image: str | None,
    device: str | None,
    precision: str | None,
    threads: int | None,
    seconds: float,
    reference: bool = False,
) -> str:
    """Predict the proteins of a file with a bundle, and write `output`; see `tmelt.cli.predict`.

    Returns:
        One line that says what was written.

    Raises:
        InputError: proteins, bundle, level or weights are not what they should be.
        InfrastructureError: sandbox, device or download failed.
    """
    if output.suffix not in FORMATS:
        raise InputError(f"--output: {output}: the name should end in {' or '.join(FORMATS)}")
    opened = open_bundle(bundle)
    simple = opened.reference() if reference else None
    half = half_width(list(simple.residuals) if simple else opened.residuals(), level)
    training = opened.about["training"]
    queries = read_queries(proteins, training, set(opened.text(SEQUENCES).split()))
    _say_verdict(opened, simple.label if simple else None)
    for label in opened.about["labels"]:
        print(f"warning: {label}", file=sys.stderr)
    answered = [query for query in queries if query.masked is not None]
    harness = opened.about["harness"]
    values = (
        simple.predict([query.masked or "" for query in answered])[None]
        if simple
        else predict_queries(
            opened,
            answered,
            weights=weights,
            embeddings=embeddings,
            sandbox=sandbox,
            sandbox_image=sandbox_image,
            device=device or harness["device"],
            precision=precision,
            threads=min(threads or harness["threads"], os.cpu_count() or 1),
            seconds=seconds,
        )
    )
    by_name = dict(zip((query.protein_id for query in answered), values.T, strict=True))  # names are distinct
    target = target_of(opened.about)
    rows = [_row(query, by_name.get(query.protein_id), half, level, training["tm"], target) for query in queries]
    _list_skipped(queries)
    try:
        _write(output, rows, predicted_schema(target))
    except OSError as error:
        raise InputError(f"--output: {output}: cannot be written ({error.strerror or error})") from None
    return _summary(output, rows, half, level, target)


def _say_verdict(bundle: Bundle, simple: str | None) -> None:
    """Say on stderr which predictor predicts, and what it is good for."""
    if simple is not None:
        print(one_line(f"Predicted by the reference predictor of the study: {simple}."), file=sys.stderr)
        return
    found = verdict(bundle.about)
    instead = " --reference predicts by the study's best simple predictor instead."
    more = instead if found.kind != "use" and REFERENCE in bundle.about["members"] else ""
    print(one_line(found.text, 1000) + more, file=sys.stderr)


def _list_skipped(queries: Sequence[Query]) -> None:
    """Name on stderr the first entries that were not predicted; the file has them all."""
    skipped = [query for query in queries if query.masked is None]
    for query in skipped[:SKIPPED_SHOWN]:
        print(f"skipped {query.protein_id!a}: {one_line('; '.join(query.warnings))}", file=sys.stderr)
    if len(skipped) > SKIPPED_SHOWN:
        print(f"skipped {len(skipped) - SKIPPED_SHOWN} more: see the column `warning`", file=sys.stderr)


def predict_queries(
    bundle: Bundle,
    queries: Sequence[Query],
    *,
    weights: Path | None,
    embeddings: Path | None,
    sandbox: str,
    sandbox_image: str | None,
    device: str,
    precision: str | None,
    threads: int,
    seconds: float,
) -> np.ndarray:
    """Predicted tm in target units of each protein by each seed, (seeds, proteins).

    Args:
        seconds: the most that one pass of the bundle's script may take, whatever the bundle asks for.
    """
    from tmelt.bundle.embedding import embedder_of
    from tmelt.bundle.ensemble import Ensemble

    about = bundle.about
    torch.set_num_threads(threads)
    if not queries:
        return np.empty((len(about["seeds"]), 0))
    embed = embedder_of(about["backbone"], weights, embeddings, device, precision or about["backbone"]["precision"])
    parts = []
    with Ensemble(
        script=bundle.text(SCRIPT),
        seeds=about["seeds"],
        place=bundle.unpack_checkpoints,
        knobs=about["knobs"],
        harness=about["harness"],
        sandbox=sandbox,
        image=sandbox_image,
        device=device,
        precision=precision or about["harness"]["precision"],
        threads=threads,
        most_s=seconds,
    ) as ensemble:
        done = 0
        for part in chunks([len(query.sequence) for query in queries], RESIDUES_AT_ONCE):
            chunk = queries[part]
            sequences = [query.masked or "" for query in chunk]
            residues = embed(sequences, [query.protein_id for query in chunk])
            parts.append(ensemble.predict(residues, sequences))
            done += len(chunk)
            print(f"{done} of {len(queries)} proteins predicted", file=sys.stderr, flush=True)
    return np.concatenate(parts, axis=1)


def _row(
    query: Query, values: np.ndarray | None, half: float, level: float, trained: Sequence[float], target: Target
) -> dict[str, Any]:
    """A protein's row; `values` (seeds,) in target units, or None where it was not predicted."""
    row: dict[str, Any] = dict.fromkeys(predicted_schema(target).names)
    row |= {"protein_id": query.protein_id, "length": len(query.sequence), "level": level}
    warnings = list(query.warnings)
    if values is not None:
        tm = float(values.mean())
        if not trained[0] <= tm <= trained[1]:
            span = target.amount(f"{trained[0]:g} to {trained[1]:g}")
            warnings.append(f"beyond the {target.plural} trained on ({span})")
        row |= {
            predicted_column(target): tm,
            "seed_sd": float(values.std(ddof=1)) if len(values) > 1 else None,
            "low": tm - half,
            "high": tm + half,
        }
    return row | {"warning": "; ".join(warnings) or None}


def _write(output: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    if output.suffix == ".parquet":
        write_table(output, rows, schema)
        return
    write_csv(pl.from_arrow(pa.Table.from_pylist(rows, schema=schema)), output)


def _summary(output: Path, rows: list[dict[str, Any]], half: float, level: float, target: Target) -> str:
    name = predicted_column(target)
    values = [row[name] for row in rows if row[name] is not None]
    warned = sum(row["warning"] is not None for row in rows)
    found = "none predicted"
    if values:
        span = target.amount(f"{min(values):.1f} to {max(values):.1f}")
        found = f"{target.symbol} {span}, {level:.3g} interval ± {target.amount(f'{half:.1f}')}"
    skipped = len(rows) - len(values)
    notes = (f", {skipped} not predicted" if skipped and values else "") + (
        f", {warned} with a warning" if warned else ""
    )
    return f"{output}: {len(rows)} proteins, {found}{notes}"
