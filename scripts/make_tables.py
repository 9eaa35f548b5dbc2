"""Make the tables of one module of tmelt/evidence/make.

    python scripts/make_tables.py spread --winners tables/winners.parquet --spread spread.parquet

Reads and writes what the module says: tables by their names, and its other inputs.
"""

import inspect
import sys
from pathlib import Path
from typing import Any

from tmelt.command import run_command
from tmelt.evidence.make import BETWEEN, MAKERS, TABLES, make_tables


def command_of(module_name: str) -> Any:
    """A function with the module's inputs and tables as options."""

    def make(**given: Any) -> None:
        make_tables(module_name, given)

    module = MAKERS[module_name]
    inputs = inspect.signature(module.make).parameters
    kinds = {name: Path if name in TABLES | BETWEEN else inputs[name].annotation for name in inputs}
    kinds |= dict.fromkeys(module.TABLES, Path)
    make.__doc__ = module.__doc__
    make.__annotations__ = kinds
    make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, annotation=kind) for option, kind in kinds.items()]
    )
    return make


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in MAKERS:
        sys.exit(f"error: the first argument names what is made: {', '.join(MAKERS)}")
    run_command(command_of(sys.argv[1]), sys.argv[2:])
