"""Tables as CSV, for spreadsheets: lists as JSON, numbers in full, nothing where unknown, and no text as a formula."""

import json
from pathlib import Path

import polars as pl

from tmelt.storage.files import atomic_path
from tmelt.text.safe import for_spreadsheet


def write_csv(table: pl.DataFrame, path: Path) -> None:
    """Write a frame as CSV, atomically; reading it back gives the same numbers and harmless text."""
    lists = [name for name, kind in table.schema.items() if isinstance(kind, pl.List)]
    columns = [pl.Series(name, [_json(cell) for cell in table[name].to_list()], dtype=pl.String) for name in lists]
    table = table.with_columns(columns)
    texts = [
        pl.col(name).map_elements(for_spreadsheet, pl.String)
        for name in table.columns
        if table[name].dtype == pl.String
    ]
    with atomic_path(path) as temporary:
        table.with_columns(texts).write_csv(temporary)


def _json(cell: list | None) -> str | None:
    return None if cell is None else json.dumps(cell, ensure_ascii=False)
