"""A JSON schema made by pydantic as Markdown: a heading and a table of keys for each object."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]


def cell(text: object) -> str:
    """Return `text` as a cell of a Markdown table, with nothing in it that Markdown reads as HTML or as a column."""
    words = " ".join(str(text).split()).replace("|", "\\|").split("`")
    return "`".join(word if place % 2 else word.replace("<", "&lt;") for place, word in enumerate(words))


def sections(schema: Schema, path: str = "", level: int = 2) -> Iterator[str]:
    """Lines of Markdown for an object and then for each object among its keys, in the order of the model.

    Args:
        schema: the schema with its `$defs`.
        path: what is written before each key, such as `design.data`.
        level: of the first heading; the objects inside it have the same.
    """
    yield from _object(schema, schema.get("$defs", {}), path, level)


def _object(part: Schema, definitions: Schema, path: str, level: int) -> Iterator[str]:
    """The heading, the description and the table of one object, then those of the objects in it."""
    if path:
        yield f"{'#' * level} `{path}`\n"
    if about := part.get("description"):
        yield f"{about}\n"
    yield from _keys(part, definitions)
    for name, field in part.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        for nested in _nested(field, definitions):
            yield from _object(nested, definitions, inner, level)


def _keys(part: Schema, definitions: Schema) -> Iterator[str]:
    """The table of an object's keys."""
    properties = part.get("properties", {})
    if not properties:
        yield "No options of its own.\n"
        return
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    for name, field in properties.items():
        default = "required" if name in part.get("required", ()) else _default(field)
        yield f"| `{name}` | {cell(type_text(field, definitions))} | {cell(default)} | {cell(_meaning(field))} |"
    yield ""


def _nested(field: Schema, definitions: Schema) -> Iterator[Schema]:
    """The objects with keys of their own that a field may hold: itself, items, values, or one of several forms."""
    for reference in _references(field):
        part = definitions[reference]
        if "properties" in part:
            yield part


def _references(field: Schema) -> Iterator[str]:
    if "$ref" in field:
        yield field["$ref"].rpartition("/")[2]
    for form in (*field.get("anyOf", ()), *field.get("oneOf", ())):
        yield from _references(form)
    for inside in ("items", "additionalProperties"):
        if isinstance(field.get(inside), Mapping):
            yield from _references(field[inside])


def type_text(field: Schema, definitions: Schema) -> str:
    """The type of a value with its limits, in words."""
    if "$ref" in field:
        target = definitions[field["$ref"].rpartition("/")[2]]
        return "keys, see below" if "properties" in target else type_text(target, definitions)
    forms = [*field.get("anyOf", ()), *field.get("oneOf", ())]
    if forms:
        return " or ".join(dict.fromkeys(type_text(form, definitions) for form in forms))
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    kind = field.get("type")
    if kind == "array":
        return _list_text(field, definitions)
    if kind == "object":
        values = field.get("additionalProperties")
        named = type_text(values, definitions) if isinstance(values, Mapping) and values else "any value"
        return f"mapping of names to {named}"
    words = {"integer": "whole number", "string": "text", "boolean": "`true` or `false`"}.get(str(kind), str(kind))
    limits = _limits(field)
    return f"{words} {limits}".strip() if kind else "any value"


def _list_text(field: Schema, definitions: Schema) -> str:
    if places := field.get("prefixItems"):
        return f"list of {len(places)}: {type_text(places[0], definitions)}"
    return f"list of {type_text(field.get('items', {}), definitions)}"


def _limits(field: Schema) -> str:
    """Bounds and pattern of a number or a text."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field]
    if "pattern" in field:
        bounds.append(f"like `{field['pattern']}`")
    return ", ".join(bounds)


def _default(field: Schema) -> str:
    if "default" not in field:
        return ""
    value = field["default"]
    return "as below" if isinstance(value, Mapping) and value else f"`{json.dumps(value, ensure_ascii=False)}`"


def _meaning(field: Schema) -> str:
    return str(field.get("description", ""))
