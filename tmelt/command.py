"""A script's command line, made from the signature of its one keyword-only function."""

import argparse
import inspect
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from tmelt.errors import InfrastructureError, InputError


def run_command(function: Callable[..., Any], arguments: list[str] | None = None) -> None:
    """Parse the command line by `function`'s annotations (str, int, float, bool, Path, list[...], X | None), call it.

    An `InputError` ends with one line and status 2; an `InfrastructureError` with one line and status 75, which
    Snakemake retries. Any other exception is our own mistake and shows its traceback.
    """
    parser = argparse.ArgumentParser(
        description=inspect.getdoc(function), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    hints = get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, many = _value_type(hints[name])
        required = parameter.default is inspect.Parameter.empty
        options: dict[str, Any] = {"required": required}
        if not required:
            options["default"] = parameter.default
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["type"] = kind
            if many:
                options["nargs"] = "*"
        parser.add_argument("--" + name.replace("_", "-"), dest=name, **options)
    try:
        function(**vars(parser.parse_args(arguments)))
    except InputError as error:
        sys.exit(_complain(error, 2))
    except InfrastructureError as error:
        sys.exit(_complain(error, 75))


def _complain(error: Exception, status: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return status


def _value_type(hint: Any) -> tuple[Callable[[str], Any], bool]:
    """The converter of one word, and whether the option takes many."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (argument for argument in get_args(hint) if argument is not type(None))
    if get_origin(hint) is list:
        return get_args(hint)[0], True
    if hint not in (str, int, float, bool, Path):
        raise TypeError(f"run_command cannot read a {hint} from the command line")
    return hint, False
