"""The two ways in which this software gives up, apart from its own mistakes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(Exception):
    """The user's input is wrong: one line that names the file or key, the fault and the remedy."""


class InfrastructureError(Exception):
    """The machine or a service failed, not the candidate: the job ends non-zero and Snakemake retries it."""


def first_complaint(error: "ValidationError", *above: str, skip: int = 0) -> str:
    """What pydantic found first, as `key: what is wrong with it`.

    Args:
        error: of a model that a user's values were checked by.
        above: the keys on the way to that model.
        skip: parts of pydantic's own location that are no keys, at its beginning.
    """
    first = error.errors()[0]
    key = ".".join(map(str, (*above, *first["loc"][skip:])))
    words = first["msg"].removeprefix("Value error, ")
    return f"{key}: {words}" if key else words
