"""The `backbone` part of a config as scripts receive it; free of torch, for scripts that only need names."""

from pydantic import ValidationError

from tmelt.config import Backbone
from tmelt.errors import InputError


def parse_backbone(text: str) -> Backbone:
    """The `backbone` part of a config from JSON.

    Raises:
        InputError: no JSON, or an offending key.
    """
    try:
        return Backbone.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"backbone: {'.'.join(map(str, first['loc'])) or text}: {first['msg']}") from None
