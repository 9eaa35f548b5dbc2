"""Write the report of a study: one self-contained page, and its figures with the data behind them.

Reads   study (trials' folders, strategy.json, vault_log.json), tables, protocol, data (data.json, cleaning.parquet,
        audit.parquet); configs are only named; references are the config's key of that name as JSON; config is all of
        it as JSON
Writes  folder: report.html, figures/*.svg, *.png, *.csv, *.parquet; config.json with config and configs
"""

import json
from pathlib import Path

from tmelt.command import run_command
from tmelt.report import page
from tmelt.storage.files import write_json


def write_report(
    *,
    study: Path,
    tables: Path,
    protocol: Path,
    data: Path,
    folder: Path,
    configs: list[str] | None = None,
    references: str = "[]",
    config: str | None = None,
) -> None:
    """Draw every figure, compute every sentence, write the page, and print its path."""
    if config is not None:
        write_json(folder / "config.json", {"config": json.loads(config), "configs": configs or []})
    print(
        page.write_report(
            study=study,
            tables=tables,
            protocol=protocol,
            data=data,
            folder=folder,
            configs=configs or (),
            references=json.loads(references),
        )
    )


if __name__ == "__main__":
    run_command(write_report)
