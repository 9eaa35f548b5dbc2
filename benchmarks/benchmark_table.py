"""How every benchmark ends: its rows as Parquet and as Markdown under results/benchmarks/, and on the screen.

benchmarks.md there has the latest table of every benchmark.
"""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tmelt.storage.files import write_text
from tmelt.storage.schema import write_frame
from tmelt.study.protocol import environment

ALL = "benchmarks.md"


def publish(rows: Sequence[Mapping[str, Any]], output: Path, caption: str) -> None:
    """Write the rows with date and hardware to `output`, and print them under `caption`.

    Args:
        rows: one mapping per way, all with the same keys; None where something was not measured.
        output: the Parquet file; the Markdown goes beside it.
        caption: what was measured, in one line.
    """
    here = environment()
    when = datetime.datetime.now(datetime.UTC)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    facts = {"processor": here.processor, "cores": here.cores, "torch": here.packages["torch"]}
    constants = [pl.lit(value).alias(name) for name, value in {**facts, "date": when}.items()]
    write_frame(output, frame.with_columns(constants))
    lines = [f"{caption}; {here.processor}, {here.cores} cores, torch {facts['torch']}, {when:%Y-%m-%d}.", ""]
    lines += [f"| {' | '.join(frame.columns)} |", f"|{'---|' * frame.width}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in frame.iter_rows()]
    text = "\n".join(lines) + "\n"
    print(f"\n{text}\nwritten to {output}")
    write_text(output.with_suffix(".md"), f"## {output.stem}\n\n{text}")
    parts = sorted(path for path in output.parent.glob("*.md") if path.name != ALL)
    write_text(output.parent / ALL, "\n".join(path.read_text(encoding="utf-8") for path in parts))


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if 0.99 < value < 1:
        return f"{value:.6f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
