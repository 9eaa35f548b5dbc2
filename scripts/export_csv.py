"""Export the study's tables to CSV.

Reads   tables (tables/{name}.parquet)
Writes  folder/{name}.csv
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.export.csv_tables import write_csv
from tmelt.storage.schema import read_table


def export_csv(*, tables: list[Path], folder: Path) -> None:
    """Write each table with the same rows and columns; lists become JSON."""
    for table in tables:
        write_csv(read_table(table), folder / f"{table.stem}.csv")


if __name__ == "__main__":
    run_command(export_csv)
