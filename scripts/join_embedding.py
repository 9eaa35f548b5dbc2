"""Assemble from the shared cache what candidates see of a data set: the views for `fit` and for `predict`.

Reads   proteins.parquet, the cache
Writes  fit/, pool/, pool.parquet (what each protein of the pool is for), index.parquet, embedding.json last
"""

from pathlib import Path

from tmelt.command import run_command


def join_embedding(*, proteins: Path, backbone: str, cache: Path, folder: Path, seed: int) -> None:
    """Write the views of the embedding by the backbone given as JSON into `folder`."""
    from tmelt.embed.settings import parse_backbone
    from tmelt.embed.views import write_views

    write_views(proteins, parse_backbone(backbone), cache, folder, seed)


if __name__ == "__main__":
    run_command(join_embedding)
