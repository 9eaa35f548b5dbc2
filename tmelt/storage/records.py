"""Dataclasses to JSON and back: the one edge at which a file that a study wrote becomes a typed record.

pydantic does the same for the config. It is not used here because its import would be a fifth of a job that scores a
trial, and because a record has to come back exactly: its hash is taken of the JSON.
"""

import dataclasses
import functools
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from tmelt.errors import InputError
from tmelt.storage.files import read_json

Record = TypeVar("Record")
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null"}


class RecordError(ValueError):
    """A JSON value that is not what a record has there; the message names the key."""


def read_record(kind: type[Record], path: Path | str, remedy: str) -> Record:
    """Read a JSON file as a dataclass.

    Args:
        kind: the dataclass.
        path: the file.
        remedy: what the user can do about a file that does not fit; the end of the error's line.

    Raises:
        InputError: the file is missing, not JSON, or lacks a key, or has an unknown key or a value of another type.
    """
    try:
        return from_json(kind, read_json(path))
    except RecordError as error:
        raise InputError(f"{path}: {error}; {remedy}") from None


def from_json(kind: type[Record], value: Any) -> Record:
    """A JSON value as a dataclass; a field may be left out where it has a default.

    Raises:
        RecordError: a missing or unknown key, or a value of another type, with the key's place.
    """
    record: Record = _convert(kind, value, "")
    return record


def to_json(value: Any) -> Any:
    """A record as the JSON value that it came from; a field that has its default is left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = ((one, getattr(value, one.name)) for one in dataclasses.fields(value))
        return {one.name: to_json(part) for one, part in parts if not _is_default(one, part)}
    if isinstance(value, Mapping):
        return {key: to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    return value


def _is_default(one: "dataclasses.Field[Any]", value: Any) -> bool:
    return one.default is not dataclasses.MISSING and value == one.default


def _convert(kind: Any, value: Any, place: str) -> Any:
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, place)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, place)
    if origin is tuple:  # tuple[T, ...]
        items = _expect(list, "a list", value, place)
        return tuple(_convert(arguments[0], item, f"{place}[{number}]") for number, item in enumerate(items))
    if origin in (dict, Mapping):
        pairs = _expect(dict, "an object", value, place).items()
        return {key: _convert(arguments[1], part, _inside(place, key)) for key, part in pairs}
    if origin is Sequence:
        raise TypeError(f"{kind}: a record's lists are tuples, so that records can be compared")
    return _expect(kind, _NAMES[kind], value, place)


def _record(kind: Any, value: Any, place: str) -> Any:
    given = _expect(dict, "an object", value, place)
    fields = {one.name: one for one in dataclasses.fields(kind)}
    for name, one in fields.items():
        if one.default is dataclasses.MISSING and name not in given:
            raise RecordError(f"{_inside(place, name)}: missing")
    if unknown := sorted(given.keys() - fields.keys()):
        raise RecordError(f"{_inside(place, unknown[0])}: unknown key")
    hints = _hints(kind)
    return kind(**{name: _convert(hints[name], part, _inside(place, name)) for name, part in given.items()})


def _one_of(kinds: Sequence[Any], value: Any, place: str) -> Any:
    """The first kind that fits; of several faults that of the last, which is not null's."""
    fault: RecordError | None = None
    for kind in sorted(kinds, key=lambda one: one is not types.NoneType):
        try:
            return _convert(kind, value, place)
        except RecordError as error:
            fault = error
    assert fault is not None
    raise fault


def _expect(kind: type, name: str, value: Any, place: str) -> Any:
    fits = isinstance(value, int | float if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise RecordError(f"{place or 'the file'}: expected {name}, got {value!r:.60}")
    return value


def _inside(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
