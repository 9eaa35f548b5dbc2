"""The pages of the reference, each made from the code that it describes: none of them is written by hand."""

import argparse
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
from pydantic import TypeAdapter
from schema_markdown import cell, sections

ROOT = Path(__file__).resolve().parents[2]
PAGE_WIDTH = "78"  # characters of a line of help


def config_page() -> str:
    """Every key of the config with type, limits, default and meaning."""
    schema = _script("write_config_schema").config_schema()
    intro = (
        "Every key of a config file, from the model that checks it. An unknown key stops a study before it starts."
        " For editors the same is in `config.schema.json`: the first line of a config names it"
        " (`# yaml-language-server: $schema=config.schema.json`)."
    )
    return "\n".join(["# Config", "", intro, "", *sections(schema)])


def strategies_page() -> str:
    """The kinds of strategies and the options of each."""
    from tmelt.llm.settings import LLMSettings
    from tmelt.strategies.registry import built_in_kinds

    lines = ["# Strategies", "", "`extent.strategies` names each strategy of a study: a `kind`, and its options.", ""]
    for kind in built_in_kinds().values():
        lines += [f"## `{kind.name}`: {kind.title}", ""]
        lines += [f"A control: it {kind.control}.\n"] if kind.control else []
        lines += (
            ["It also has the [options of agents](#options-of-agents).\n"] if kind.agent and not kind.external else []
        )
        lines += _options(TypeAdapter(kind.options).json_schema(), kind.name)
    settings = TypeAdapter(LLMSettings).json_schema()
    lines += ["## Options of agents", "", *sections(settings)]
    return "\n".join(lines)


def _options(schema: dict[str, Any], kind: str) -> Iterator[str]:
    """The options of a kind; of a kind with several forms, such as samplers, those of each form."""
    forms = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
    for form in forms:
        part = schema["$defs"][form["$ref"].rpartition("/")[2]]
        chosen = part["properties"].get("sampler", {}).get("default", "another sampler")
        yield from sections({**part, "$defs": schema["$defs"]}, f"{kind}: {chosen}", 3)
    if not forms:
        yield from sections(schema)


def knobs_page() -> str:
    """The knobs by category, with range, default and meaning."""
    from tmelt.search.knobs import KNOBS, Space

    lines = ["# Knobs", "", "What a strategy may change in the reference training script. `design.space` of a config"
             " gives a knob another range or default.", ""]  # fmt: skip
    for category in dict.fromkeys(knob.category for knob in KNOBS):
        members = Space(KNOBS).markdown().splitlines()
        names = {knob.name for knob in KNOBS if knob.category == category}
        rows = [row for row in members[2:] if row.split("|")[1].strip() in names]
        lines += [f"## {category}", "", *members[:2], *rows, ""]
    return "\n".join(lines)


def tables_page() -> str:
    """Every table of a study with its columns."""
    from tmelt.evidence.make import TABLES
    from tmelt.storage import schema

    lines = ["# Tables", "", "Every column carries its meaning in the Parquet file itself (Arrow field metadata"
             " `meaning`). Columns `low` and `high` bound a 95 % interval. They are null where there are too few"
             " replicates, and `note` then says why. MAE, RMSE, Tm and effects are in °C, and a negative effect is"
             " better.", "", "## Tables of a study", "",
             "`results/{study}/tables/{name}.parquet`, and `export/{name}.csv`.", ""]  # fmt: skip
    for name, columns in TABLES.items():
        lines += [f"### {name}", "", *_columns(columns)]
    files = {name.lower(): value for name, value in vars(schema).items() if isinstance(value, pa.Schema)}
    lines += ["## Files of data, trials and runs", "", "The Parquet files that the tables are made from.", ""]
    for name, columns in files.items():
        lines += [f"### {name} (file)", "", *_columns(columns)]
    return "\n".join(lines)


def _columns(columns: pa.Schema) -> list[str]:
    meanings = {field.name: field.metadata[b"meaning"].decode() for field in columns}
    rows = [f"| `{field.name}` | {_type(field.type)} | {cell(meanings[field.name])} |" for field in columns]
    return ["| column | type | meaning |", "|---|---|---|", *rows, ""]


def _type(kind: pa.DataType) -> str:
    return f"list of {kind.value_type}" if pa.types.is_list(kind) else str(kind)


def cli_page() -> str:
    """The help of `tmelt` and of each of its commands, as the program prints it."""
    parser = _parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    with mock.patch.dict(os.environ, {"COLUMNS": PAGE_WIDTH}):  # argparse breaks lines by the terminal's width
        helps = {name: command.format_help().rstrip() for name, command in {"": parser, **commands.choices}.items()}
    lines = ["# Command line", "", "`tmelt` is installed with the package; `make setup` puts it into `.venv/bin`.", ""]
    for name, text in helps.items():
        lines += [f"## `tmelt {name}`", ""] if name else []
        lines += ["```text", text, "```", ""]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    """The parser that `tmelt` builds, caught where it would read the command line."""
    from tmelt.cli import main

    class Built(Exception):
        """Carries the parser out of `main`."""

    def caught(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise Built(parser)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", caught):
        try:
            main([])
        except Built as built:
            (parser,) = built.args
            return parser
    raise RuntimeError("tmelt.cli.main parsed nothing")


def _script(name: str) -> Any:
    """A module of the folder scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES: dict[str, Callable[[], str]] = {
    "reference/config.md": config_page,
    "reference/strategies.md": strategies_page,
    "reference/knobs.md": knobs_page,
    "reference/tables.md": tables_page,
    "reference/cli.md": cli_page,
}
