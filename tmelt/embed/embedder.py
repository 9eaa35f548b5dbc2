"""The one way from a config's backbone to something that embeds residues.

An embedder has `layer`, `width`, `precision` and `tokens`, and called with the tokens of proteins it gives their
embeddings: `embedder([tokens (L + 2,), …], rows) -> [(L, D), …]`.
"""

from collections.abc import Callable
from typing import Protocol

import torch

from tmelt.embed import forward, tokens, transformer
from tmelt.embed.backbone import LoadedBackbone, load_backbone
from tmelt.embed.transformer import TRANSFORMERS, LoadedTransformer
from tmelt.study.config import Backbone

Encode = Callable[[str, str], torch.Tensor]  # a sequence and its protein's name -> tokens (L + 2,)
Loaded = LoadedBackbone | LoadedTransformer


class Embedder(Protocol):
    """A frozen network that embeds proteins."""

    layer: int
    width: int
    precision: str
    tokens: int  # of an ordinary forward pass

    def __call__(self, proteins: list[torch.Tensor], rows: int) -> list[torch.Tensor]:
        """Embed proteins in one pass of `rows` tokens: fp32 (L, D) of each."""
        ...


def encoder_of(backbone: Backbone) -> Encode:
    """What turns sequences into the backbone's tokens; reads no weights.

    Raises:
        InputError: no tokenizer where the config says.
    """
    if backbone.name == TRANSFORMERS:
        return transformer.read_alphabet(backbone).encode
    return lambda sequence, protein_id: torch.from_numpy(tokens.encode(sequence, protein_id))


def load(backbone: Backbone) -> Loaded:
    """The backbone's network; see `load_backbone` and `load_transformer`."""
    return transformer.load_transformer(backbone) if backbone.name == TRANSFORMERS else load_backbone(backbone)


def precision_of(backbone: Backbone, device: torch.device) -> str:
    """`fp32` or `bf16`, as the config and this machine allow."""
    if backbone.name == TRANSFORMERS:
        return transformer.choose_precision(backbone.precision)
    return forward.choose_precision(backbone.precision, device)


def embedder_of(loaded: Loaded, precision: str, device: torch.device, most: int) -> Embedder:
    """The network ready to embed, `most` tokens in an ordinary pass."""
    if isinstance(loaded, LoadedTransformer):
        return transformer.SingleTransformer(loaded, precision, device, most)
    return forward.PackedESM2(loaded, precision, device, most)


def width_of(loaded: Loaded) -> int:
    """Features per residue."""
    return loaded.width if isinstance(loaded, LoadedTransformer) else loaded.model.embed_dim
