"""Describe a study's results for archives and catalogues: RO-Crate metadata.

Reads   protocol.json, files (of the results: report, tables, exports, bundle)
Writes  study/ro-crate-metadata.json
"""

from pathlib import Path

from tmelt.bundle.facts import labels_of
from tmelt.command import run_command
from tmelt.export.crate import write_crate
from tmelt.study.protocol_record import read_protocol


def export_crate(*, protocol: Path, files: list[Path], study: Path) -> None:
    """List each file with its kind, size and SHA-256."""
    fixed = read_protocol(protocol)
    write_crate(fixed, [protocol, *files], study, labels_of(fixed))


if __name__ == "__main__":
    run_command(export_crate)
