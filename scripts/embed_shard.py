"""Embed one job's share of a data set's proteins, as far as the shared cache lacks them.

Reads   proteins.parquet, the cache
Writes  segments of the cache; the marker: what was embedded, how and how fast (JSON)
"""

from pathlib import Path

from tmelt.command import run_command


def embed_shard(
    *,
    proteins: Path,
    backbone: str,
    cache: Path,
    shard: int,
    shards: int,
    tokens: int,
    threads: int,
    device: str,
    done: Path,
) -> None:
    """Embed share `shard` (from 0) of `shards` with the backbone given as JSON; `tokens` per forward pass."""
    from tmelt.embed.settings import parse_backbone
    from tmelt.embed.shard import embed_share
    from tmelt.storage.files import write_json

    network = parse_backbone(backbone)
    write_json(done, embed_share(proteins, network, cache, shard, shards, tokens, threads, device))


if __name__ == "__main__":
    run_command(embed_shard)
