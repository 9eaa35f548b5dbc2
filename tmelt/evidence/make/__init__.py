"""The tables of the evidence: a module here is one job that makes one table or several.

Each module declares all that there is to say of its tables, and rules, exports and documentation follow from it:

    TABLES      name and schema of each table that it makes
    make(…)     the function; its arguments are the inputs by name, and it returns the tables by name

An argument that is named after a table, or after one of `BETWEEN`, is that table as a frame; others are what their
annotation says. Every job of a cluster reads these modules, so what computes is imported inside `make`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Any

import pyarrow as pa

from tmelt.evidence.schema import (
    CONFIRMED_PREDICTIONS,
    CONFIRMED_RUNS,
    LAST_INCUMBENTS,
    OPENED_LABELS,
    PLAN,
    RUNS,
)
from tmelt.storage.schema import PROTEINS

# What scripts/open_test_labels.py makes; it is no module here, because it alone reads the vault.
OPENED: dict[str, pa.Schema] = {"runs": RUNS, "confirmed_runs": CONFIRMED_RUNS}
# Read by tables, but none of the study's own.
BETWEEN: dict[str, pa.Schema] = {
    "proteins": PROTEINS,
    "last_incumbents": LAST_INCUMBENTS,
    "plan": PLAN,
    "labels": OPENED_LABELS,
    "confirmed_predictions": CONFIRMED_PREDICTIONS,
}


def _ordered(modules: Mapping[str, Any]) -> list[str]:
    """Names of the modules, each after those whose tables it reads."""
    maker = {table: name for name, module in modules.items() for table in module.TABLES}
    reads = {name: [maker[read] for read in inputs_of(module) if read in maker] for name, module in modules.items()}
    return list(TopologicalSorter(reads).static_order())


def inputs_of(module: Any) -> list[str]:
    """Names of what a module's `make` reads."""
    return list(inspect.signature(module.make).parameters)


_MODULES = {found.name: importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)}
MAKERS: dict[str, Any] = {name: _MODULES[name] for name in _ordered(_MODULES)}
TABLES: dict[str, pa.Schema] = {
    "trials": MAKERS["trials"].TABLES["trials"],
    **OPENED,
    **{name: schema for module in MAKERS.values() for name, schema in module.TABLES.items()},
}


def make_tables(name: str, given: Mapping[str, Any]) -> None:
    """Read the inputs of one module, make its tables and write them.

    Args:
        name: the module's.
        given: the path of each table that it reads or makes, and its other inputs, by name.

    Raises:
        InputError: an input that is missing, damaged or has other columns.
    """
    from tmelt.evidence.tables import write
    from tmelt.storage.schema import read_table

    module, schemas = MAKERS[name], TABLES | BETWEEN
    inputs = {
        read: read_table(given[read], schemas[read]) if read in schemas else given[read] for read in inputs_of(module)
    }
    made = module.make(**inputs)
    for table, schema in module.TABLES.items():
        write(given[table], made[table], schema)


def markdown() -> str:
    """The tables and their columns for documentation."""
    lines = []
    for name, schema in TABLES.items():
        lines += [f"### tables/{name}.parquet", "", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| {field.name} | {field.type} | {field.metadata[b'meaning'].decode()} |" for field in schema]
        lines.append("")
    return "\n".join(lines)
