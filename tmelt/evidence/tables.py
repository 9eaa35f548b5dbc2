"""Frames with exactly the columns of a table (tmelt.evidence.schema), and their one writer."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tmelt.storage.files import atomic_path
from tmelt.storage.schema import as_frame


def typed(frame: pl.DataFrame, schema: pa.Schema) -> pl.DataFrame:
    """The frame with exactly the schema's columns, order and types, so that an empty table has its columns as well."""
    empty = as_frame([], schema)
    return frame.select(empty.columns).cast(dict(empty.schema)) if frame.width else empty


def table(rows: Sequence[dict], schema: pa.Schema) -> pl.DataFrame:
    """Rows as a frame of the schema; no rows are an empty table with its columns."""
    return as_frame(rows, schema)


def write(path: Path | str, frame: pl.DataFrame, schema: pa.Schema) -> None:
    """Write one table of tmelt.evidence.schema, with the meanings of its columns, atomically."""
    arrow = typed(frame, schema).to_arrow().cast(schema)
    with atomic_path(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd")
