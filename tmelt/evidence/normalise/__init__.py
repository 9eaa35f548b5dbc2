"""Scripts in a form in which spelling does not matter: names, order of definitions, dead code, types, constants.

`program(script)` gives the form, `mismatches` compares two of them. Whatever the form cannot follow raises `Unsure`;
then scripts are compared by their syntax trees, and a difference counts as one.
"""

import ast
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from tmelt.evidence.normalise.matching import Mismatch, mismatches
from tmelt.evidence.normalise.program import Module, Program
from tmelt.evidence.normalise.scopes import Unsure
from tmelt.evidence.normalise.unroll import unrolled

__all__ = ["Mismatch", "Program", "Unsure", "is_followed", "mismatches", "program", "size"]


def program(script: str, values: Mapping[str, Any] | None = None, knobs: Iterable[str] = ()) -> Program:
    """The normal form of a script.

    Args:
        values: values of knobs to put in place of their reads; the others stay open.
        knobs: names of all knobs of the candidate.

    Raises:
        Unsure: the script does something that the form cannot follow, or is no Python.
    """
    items = tuple(sorted((name, json.dumps(value)) for name, value in (values or {}).items()))
    made = _program(script, items, frozenset(knobs))
    if made is None:
        raise Unsure("script")
    return made


@lru_cache(maxsize=256)
def _program(script: str, items: tuple[tuple[str, str], ...], knobs: frozenset[str]) -> Program | None:
    module = _module(script)
    if module is None:
        return None
    module.candidate_knobs = knobs
    try:
        made = Program(module, {name: json.loads(value) for name, value in items})
        made.text  # noqa: B018 (what fails, fails here)
    except (Unsure, RecursionError, MemoryError, ValueError):  # ValueError: a number too long to be written
        return None
    return made


@lru_cache(maxsize=64)
def _module(script: str) -> Module | None:
    try:
        return Module(unrolled(ast.parse(script)))
    except (Unsure, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def is_followed(script: str) -> bool:
    """True if it is known where a script reads each knob."""
    module = _module(script)
    return module is not None and not module.knobs_escaped


def size(script: str) -> int:
    """Number of nodes of a script's syntax tree; 0 where it has no normal form."""
    module = _module(script)
    return len(module.nodes) if module else 0
