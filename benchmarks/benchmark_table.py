"""How every benchmark ends: its rows as Parquet under results/benchmarks/ and as a Markdown table on the screen."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tmelt.protocol import environment
from tmelt.schema import write_frame


def publish(rows: Sequence[Mapping[str, Any]], output: Path, caption: str) -> None:
    """Write the rows with date and hardware to `output`, and print them under `caption`.

    Args:
        rows: one mapping per way, all with the same keys; None where something was not measured.
        output: the Parquet file.
        caption: what was measured, in one line.
    """
    here = environment()
    when = datetime.datetime.now(datetime.UTC)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    facts = {"processor": here["processor"], "cores": here["cores"], "torch": here["packages"]["torch"]}
    constants = [pl.lit(value).alias(name) for name, value in {**facts, "date": when}.items()]
    write_frame(output, frame.with_columns(constants))
    print(f"\n{caption}; {here['processor']}, {when:%Y-%m-%d}\n")
    print(f"| {' | '.join(frame.columns)} |\n|{'---|' * frame.width}")
    for row in frame.iter_rows():
        print(f"| {' | '.join(map(_cell, row))} |")
    print(f"\nwritten to {output}")


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
