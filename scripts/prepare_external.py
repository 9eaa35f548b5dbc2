"""Make an external test set: read its table, clean it, relate it to the study's proteins, and seal its labels.

Reads   the settings of the set as JSON text and the files that it names, proteins.parquet of the study
Writes  folder: proteins.parquet, vault/labels.parquet, cleaning.parquet, set.json
"""

import json
from pathlib import Path

from tmelt.command import run_command
from tmelt.proteins.external import prepare_external
from tmelt.proteins.prepare import parse_data_config
from tmelt.storage.schema import PROTEINS, read_table


def make_external(*, settings: str, made_from: str, proteins: Path, folder: Path) -> None:
    """Write the set, and say what it holds."""
    data = parse_data_config(json.loads(settings), "--settings")
    made = prepare_external(data, made_from, read_table(proteins, PROTEINS), folder)
    print(f"{folder}: {made.proteins} proteins of {made.rows} rows")


if __name__ == "__main__":
    run_command(make_external)
