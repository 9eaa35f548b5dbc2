"""The `backbone` part of a config as scripts receive it, and the sizes of each ESM-2; free of torch."""

from pydantic import ValidationError

from tmelt.errors import InputError, first_complaint
from tmelt.study.config import Backbone

# Layers, width, attention heads (Lin et al. 2023, table S1, and the released checkpoints).
ARCHITECTURES: dict[str, tuple[int, int, int]] = {
    "tiny": (4, 64, 4),
    "esm2_t6_8M_UR50D": (6, 320, 20),
    "esm2_t12_35M_UR50D": (12, 480, 20),
    "esm2_t30_150M_UR50D": (30, 640, 20),
    "esm2_t33_650M_UR50D": (33, 1280, 20),
    "esm2_t36_3B_UR50D": (36, 2560, 40),
}


def parse_backbone(text: str) -> Backbone:
    """The `backbone` part of a config from JSON.

    Raises:
        InputError: no JSON, or an offending key.
    """
    try:
        return Backbone.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"config: {first_complaint(error, 'design', 'backbone')}") from None
