"""What can be said of a training script without running it, so that an agent hears of it at once."""

import ast
from collections.abc import Mapping
from typing import Any

from tmelt.search.knobs import KnobError, Space, knobs_from_table
from tmelt.storage.files import canonical_json

BYTES_MAX = 100_000
KNOBS_MAX = 50
FUNCTIONS: Mapping[str, tuple[str, ...]] = {"fit": ("task", "knobs", "checkpoint"), "predict": ("task", "checkpoint")}
_ROW_FIELDS = frozenset({"name", "kind", "default", "low", "high", "log", "choices", "unit", "meaning", "when"})


class ScriptError(ValueError):
    """A script that cannot be a candidate; the message says what is wrong and what to do."""


def check_script(script: str, space: Space) -> tuple[dict[str, Any], ...]:
    """Check a training script's form and return the knobs that it declares, as `Space.table` rows.

    Only what cannot be right is refused: no style, no search for forbidden words (the sandbox confines what runs).

    Raises:
        ScriptError: not UTF-8, too long, not Python, `fit` or `predict` missing or with other parameters, or a `KNOBS`
            list that is not a literal of legal knobs with new names.
    """
    try:
        size = len(script.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ScriptError(f"the script is not UTF-8 text: {error}") from None
    if size > BYTES_MAX:
        raise ScriptError(f"the script has {size} bytes; at most {BYTES_MAX}")
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ScriptError(f"the script is not Python: {where}{message}") from None
    for name, parameters in FUNCTIONS.items():
        _check_function(tree, name, parameters)
    rows = _declared(tree)
    try:
        extended = space.extended(knobs_from_table(rows)).table()[len(space) :]
        canonical_json(extended)  # an infinite bound or a choice that is no JSON value cannot be recorded
    except (KnobError, TypeError, ValueError) as error:
        raise ScriptError(f"KNOBS: {error}") from None
    return tuple(extended)


def _check_function(tree: ast.Module, name: str, parameters: tuple[str, ...]) -> None:
    """The last definition at the module's top level counts, as it does in Python."""
    signature = f"def {name}({', '.join(parameters)})"
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = [node for node in found if node.name == name]
    if not found:
        raise ScriptError(f"the script has no function {name} at its top level; the contract asks for `{signature}`")
    node = found[-1]
    if isinstance(node, ast.AsyncFunctionDef):
        raise ScriptError(f"{name} is async; the contract asks for `{signature}`")
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    keyword = [a for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    fits = len(required) <= len(parameters) and (len(positional) >= len(parameters) or arguments.vararg)
    if not fits or keyword:
        raise ScriptError(f"{name} takes other parameters; the contract asks for `{signature}`")


def _declared(tree: ast.Module) -> list[dict[str, Any]]:
    """The rows of the script's `KNOBS`; none without it."""
    values = [
        node.value
        for node in tree.body
        if (isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "KNOBS" for t in node.targets))
        or (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "KNOBS")
    ]
    if not values:
        return []
    if len(values) > 1:
        raise ScriptError("KNOBS is assigned twice; write one literal list")
    try:
        rows = ast.literal_eval(values[0])
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise ScriptError("KNOBS is not a literal list of dicts; write the values out") from None
    if not isinstance(rows, list | tuple) or not all(isinstance(row, dict) for row in rows):
        raise ScriptError("KNOBS is not a list of dicts")
    if len(rows) > KNOBS_MAX:
        raise ScriptError(f"KNOBS declares {len(rows)} knobs; at most {KNOBS_MAX}")
    for row in rows:
        if unknown := sorted(map(str, set(row) - _ROW_FIELDS)):
            raise ScriptError(f"KNOBS: {row.get('name')}: unknown field {unknown[0]!r}")
        name = row.get("name")
        if not isinstance(name, str) or not name.isidentifier():
            raise ScriptError(f"KNOBS: {name!r} is not a knob's name; letters, digits and _")
    return [dict(row) for row in rows]
