"""The `backbone` part of a config as scripts receive it; free of torch, for scripts that only need names."""

from pydantic import ValidationError

from tmelt.config import Backbone
from tmelt.errors import InputError, first_complaint


def parse_backbone(text: str) -> Backbone:
    """The `backbone` part of a config from JSON.

    Raises:
        InputError: no JSON, or an offending key.
    """
    try:
        return Backbone.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"config: {first_complaint(error, 'design', 'backbone')}") from None
