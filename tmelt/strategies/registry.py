"""Find a kind of strategy by its name: a module of this package, or of an installed package that joins.

A module here is a kind if it has `KIND`, and its name is the kind's. Another package joins with an entry point:

    [project.entry-points."tmelt.strategies"]
    hill_climb = "my_package.hill_climb:KIND"

Only the module of the kind that is asked for is imported, because every proposal of every search asks for one.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from tmelt.errors import InputError
from tmelt.strategies.kind import Kind

GROUP = "tmelt.strategies"
_PACKAGE = __package__


@cache
def kind_of(name: str) -> Kind:
    """Return the kind of this name.

    Raises:
        InputError: an unknown kind, or an installed package whose kind cannot be used.
    """
    if kind := _built_in(name):
        return kind
    if found := [point for point in entry_points(group=GROUP) if point.name == name]:
        return _joined(found)
    raise InputError(f"kind: unknown kind of strategy {name!r}; expected one of {', '.join(kinds())}")


def asked_kind(kind: Kind, options: Mapping[str, Any]) -> Kind:
    """Return the kind that proposes: that of the option `agent` behind a mask, else the kind itself."""
    return kind_of(kind.read(options, kind.name).agent) if kind.mask else kind


def named_code(kind: Kind, options: Mapping[str, Any]) -> str | None:
    """Return a hash of the code outside this package that the options name, those of an inner sampler included."""
    if kind.sampler == "inner":
        return named_code(kind_of("bo"), options.get("bo") or {})
    return kind.code(options) if kind.code else None


@cache
def kinds() -> dict[str, Kind]:
    """Return all kinds, those of installed packages included, in the order in which they are shown."""
    found = dict(built_in_kinds())
    for point in entry_points(group=GROUP):
        if point.name in built_in_kinds():
            package = point.dist.name if point.dist else point.value
            raise InputError(f"kind: {point.name} of the package {package}: a reserved name; rename its entry point")
        found[point.name] = kind_of(point.name)
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


@cache
def built_in_kinds() -> dict[str, Kind]:
    """Return the kinds of this package, in the order in which they are shown."""
    names = [module.name for module in pkgutil.iter_modules(importlib.import_module(_PACKAGE).__path__)]
    found = {name: kind for name in names if (kind := _built_in(name))}
    return dict(sorted(found.items(), key=lambda item: item[1].order))


def agent_kinds() -> frozenset[str]:
    """Return the names of the kinds that ask an LLM themselves."""
    return frozenset(name for name, kind in kinds().items() if kind.agent and not kind.external)


@cache
def origins() -> dict[str, str]:
    """Return every origin that a strategy's trial may have, and what the report says of it."""
    return {origin: words for kind in kinds().values() for origin, words in kind.origins.items()}


def package_of(name: str) -> str | None:
    """Return name and version of the installed package that a kind comes from; None for a kind of this package."""
    if _built_in(name):
        return None
    kind_of(name)
    (point,) = entry_points(group=GROUP, name=name)
    return f"{point.dist.name} {point.dist.version}" if point.dist else None


def _built_in(name: str) -> Kind | None:
    if not name.isidentifier() or find_spec(f"{_PACKAGE}.{name}") is None:
        return None
    kind = getattr(importlib.import_module(f"{_PACKAGE}.{name}"), "KIND", None)
    if kind is not None and kind.name != name:
        raise InputError(f"tmelt/strategies/{name}.py: its KIND is named {kind.name!r}; expected {name!r}")
    return kind


def _joined(points: list[EntryPoint]) -> Kind:
    """The kind of an installed package, checked: two packages with one name are refused."""
    name = points[0].name
    packages = sorted({point.dist.name if point.dist else point.value for point in points})
    where = f"kind: {name} of the package {packages[0]}"
    if len(packages) > 1:
        raise InputError(f"kind: {name} is declared by the packages {' and '.join(packages)}; uninstall one of them")
    try:
        kind = points[0].load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"{where}: cannot be loaded ({error}); reinstall or correct the package") from None
    if not isinstance(kind, Kind) or kind.name != name:
        found = f"the kind {kind.name!r}" if isinstance(kind, Kind) else f"a {type(kind).__name__}"
        raise InputError(
            f"{where}: its entry point gives {found}; expected a tmelt.strategies.kind.Kind named {name!r}"
        )
    return kind
