"""Try the sandbox with the reference script before anything is spent: its imports, and a real training on 64 proteins.

Reads   protocol.json, the embedding's views, proteins.parquet (labels of fit and stop)
Writes  rehearsal.json: the backend that worked
"""

from pathlib import Path

from tmelt.command import run_command
from tmelt.harness.run import Harness, rehearse_reference
from tmelt.storage.files import write_json
from tmelt.study.protocol_record import read_protocol


def rehearse_baseline(*, protocol: Path, embedding: Path, proteins: Path, rehearsal: Path) -> None:
    """Write which backend of the sandbox works; an error where the reference script fails in it."""
    harness = Harness.of(read_protocol(protocol), embedding.parent, proteins)
    write_json(rehearsal, {"backend": rehearse_reference(harness)})


if __name__ == "__main__":
    run_command(rehearse_baseline)
