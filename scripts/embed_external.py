"""Embed an external test set as the study's proteins were embedded.

Reads   proteins.parquet of the set, protocol.json; embeddings, where the study imports its own
Writes  folder: embedding/ (a view), embedding.json last
"""

from pathlib import Path

from tmelt.command import run_command


def embed_set(
    *,
    called: str,
    proteins: Path,
    protocol: Path,
    backbone: str,
    threads: int,
    folder: Path,
    embeddings: Path | None = None,
) -> None:
    """Write the view of the set `called` by the backbone given as JSON into `folder`."""
    from tmelt.bundle.external import embed_external
    from tmelt.embed.settings import parse_backbone
    from tmelt.evidence.schema import EXTERNAL_PROTEINS
    from tmelt.storage.schema import read_table
    from tmelt.study.protocol_record import read_protocol

    frame = read_table(proteins, EXTERNAL_PROTEINS)
    embed_external(called, frame, parse_backbone(backbone), read_protocol(protocol), embeddings, threads, folder)


if __name__ == "__main__":
    run_command(embed_set)
