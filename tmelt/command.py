"""Command lines made from the signatures of functions: a script's one, and the subcommands of `tmelt`."""

import argparse
import inspect
import io
import os
import re
import signal
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from tmelt import __version__
from tmelt.errors import InfrastructureError, InputError
from tmelt.storage.full_disk import no_space
from tmelt.text.safe import for_terminal


def run_command(function: Callable[..., Any], arguments: list[str] | None = None) -> None:
    """Parse the command line by `function`'s annotations (str, int, float, bool, Path, list[...], X | None), call it.

    Keyword-only parameters are options. Others are given by their place; one with a default may be left out, and such a
    list takes all words after `--`. What the docstring says under `Args:` is the help.

    An `InputError` ends with one line and status 2; an `InfrastructureError` with one line and status 75, which
    Snakemake retries. Any other exception is our own mistake and shows its traceback.
    """
    parser = argparse.ArgumentParser(
        description=_described(function)[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_arguments(parser, function)
    _call(function, vars(parser.parse_args(arguments)))


def run_subcommand(
    program: str, about: str, functions: Iterable[Callable[..., Any]], arguments: list[str] | None = None
) -> None:
    """The same for a program with several functions, each a subcommand of its name."""
    parser = argparse.ArgumentParser(program, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    known = {function.__name__: function for function in functions}
    for name, function in known.items():
        text, _ = _described(function)
        subparser = commands.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_arguments(subparser, function)
    words = sys.argv[1:] if arguments is None else arguments
    own, rest = _cut(words)
    values = vars(parser.parse_args(own))
    function = known[values.pop("command")]
    if (name := _passed_on(function)) is not None:
        values[name] = rest
    elif rest:
        parser.error(f"unexpected arguments after --: {' '.join(rest)}")
    _call(function, values)


def _cut(words: list[str]) -> tuple[list[str], list[str]]:
    """The words before the first `--`, and those after it."""
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def _passed_on(function: Callable[..., Any]) -> str | None:
    """The parameter that takes all words after `--`, for another program: a list with a default, given by its place."""
    hints = get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        optional = parameter.default is not inspect.Parameter.empty
        by_place = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        if by_place and optional and _value_type(hints[name])[1]:
            return name
    return None


def _add_arguments(parser: argparse.ArgumentParser, function: Callable[..., Any]) -> None:
    hints = get_type_hints(function)
    helps = _described(function)[1]
    passed_on, places = _passed_on(function), ""
    for name, parameter in inspect.signature(function).parameters.items():
        kind, many = _value_type(hints[name])
        required = parameter.default is inspect.Parameter.empty
        options: dict[str, Any] = {"help": helps.get(name, "").replace("%", "%%") or None}
        if name == passed_on:
            parser.usage = f"%(prog)s [options]{places} [-- {name.upper()} …]"
            parser.epilog = f"{'-- ' + name.upper() + ' …':<22}{options['help']}"
            continue
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            how = "+" if many else None if required else "?"
            if not required:
                options["default"] = parameter.default
            parser.add_argument(name, type=kind, nargs=how, **options)
            places += f" {name}"
            continue
        options["required"] = required
        if not required:
            options["default"] = parameter.default
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["type"] = kind
            if many:
                options["nargs"] = "*"
        parser.add_argument("--" + name.replace("_", "-"), dest=name, **options)


def _described(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """A docstring without its sections, and the meaning of each argument from `Args:`."""
    text = inspect.getdoc(function) or ""
    head, _, rest = text.partition("\n\nArgs:\n")
    section = rest.partition("\n\n")[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return head.partition("\n\nRaises:\n")[0], {name: " ".join(words.split()) for name, words in found}


def _call(function: Callable[..., Any], values: dict[str, Any]) -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or pipe in ASCII or Latin-1 gets escapes, no traceback
            stream.reconfigure(errors="backslashreplace")
    try:
        function(**values)
        sys.stdout.flush()
    except InputError as error:
        sys.exit(_complain(error, 2))
    except InfrastructureError as error:
        sys.exit(_complain(error, 75))
    except BrokenPipeError:  # the reader of our output has seen enough, as `head` does
        _drop_output()
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        if (said := no_space(error)) is None:
            raise
        _drop_output()
        sys.exit(_complain(InfrastructureError(said), 75))


def _drop_output() -> None:
    """Send what is still to be printed nowhere: otherwise the interpreter would try again at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(error: Exception, status: int) -> int:
    print(for_terminal(f"error: {error}"), file=sys.stderr)
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
