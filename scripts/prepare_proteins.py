"""Make a data set: read a table or make proteins, clean, split, and seal the labels of val, select and test.

Reads   the `data` part of a study's config, as JSON text (settings) or in a file (config), and the files it names
Writes  folder: proteins.parquet, vault/{val,select,test}.parquet, cleaning.parquet, cleaning_rows.parquet,
        audit.parquet, data.json
"""

import json
from pathlib import Path

from tmelt.command import run_command
from tmelt.errors import InputError
from tmelt.proteins.prepare import parse_data_config, prepare, read_data_config


def prepare_proteins(*, folder: Path, settings: str | None = None, config: Path | None = None) -> None:
    """Write the data set described by `settings` (JSON) or `config` (a JSON file) into `folder`; say what it holds."""
    if (settings is None) == (config is None):
        raise InputError("give either --settings with JSON text or --config with a JSON file")
    try:
        data = read_data_config(config) if config else parse_data_config(json.loads(settings or ""), "--settings")
    except json.JSONDecodeError as error:
        raise InputError(f"--settings: not valid JSON ({error})") from None
    facts = prepare(data, folder)
    counts = ", ".join(f"{count} {name}" for name, count in facts.splits.items())
    for note in facts.columns or []:
        print(f"{data.source}: {note}")
    print(f"{folder}: {facts.proteins} proteins of {facts.rows} rows; split {facts.split['method']}: {counts}")


if __name__ == "__main__":
    run_command(prepare_proteins)
