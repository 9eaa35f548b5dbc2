"""Options of a strategy, as `extent.strategies.<name>` of the config gives them."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tmelt.errors import InputError, first_complaint

Options = TypeVar("Options")


def read_options(kind: type[Options] | Any, options: Mapping[str, Any], strategy: str) -> Options:
    """The options checked against a pydantic model, or a union of models.

    Raises:
        InputError: one line that names `extent.strategies.<strategy>.<key>` and what is wrong with it.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(options))
    except ValidationError as error:
        location = error.errors()[0]["loc"]
        # Inside a tagged union the first part is the tag, not a key of the config.
        tag = int(len(location) > 1 and location[0] not in options)
        raise InputError(f"config: {first_complaint(error, 'extent', 'strategies', strategy, skip=tag)}") from None
