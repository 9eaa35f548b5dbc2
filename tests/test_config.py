"""Config files: strict, and every one that the project ships is valid."""

import ast
import os
import re
from pathlib import Path

import pytest
import yaml

from tmelt.errors import InputError
from tmelt.search.knobs import space_of_config
from tmelt.strategies.check_options import check_options
from tmelt.study.config import Config, load_config, parse_config
from tmelt.study.identity import dataset_id

ROOT = Path(__file__).parents[1]
SHIPPED = [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]


@pytest.fixture
def raw():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_configs_are_valid(path):
    config = load_config(path)
    assert space_of_config(config.design.space).defaults()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_configs_could_make_their_first_call(path):
    for name, strategy in load_config(path).extent.strategies.items():
        check_options(name, strategy.kind, strategy.options)


def test_dollars_without_a_price_are_refused_before_anything_starts():
    options = {"model": "openai:nobody-knows-its-price", "budget": {"usd": 5}}
    with pytest.raises(InputError, match=r"extent\.strategies\.mine\.price: budget\.usd needs the price of openai"):
        check_options("mine", "ra", options)
    check_options("mine", "ra", {**options, "price": {"input": 1.0, "output": 2.0}})


@pytest.mark.parametrize("kind", ["ra_bo", "ua_bo"])
def test_the_inner_search_of_a_hybrid_is_checked_before_anything_starts(kind):
    for bo, message in (
        ({"sampler": "grid"}, r"bo\.sampler: 'grid': expected one of"),
        ({"sampler": "gp", "startups": 4}, r"bo\.startups: Extra"),
    ):
        with pytest.raises(InputError, match=rf"^config: extent\.strategies\.mine\.{message}"):
            check_options("mine", kind, {"model": "playbook", "bo": bo})
    check_options("mine", kind, {"model": "playbook", "bo": {"sampler": "gp", "startup": 4}})


def test_unknown_keys_are_refused_by_name(raw):
    raw["design"]["budget"]["fit_sec"] = 3
    with pytest.raises(InputError, match=r"^config: design\.budget\.fit_sec: Extra inputs"):
        parse_config(raw)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("extent", "seeds"), [1, 1], "distinct"),
        (("extent", "iterations"), 0, "greater than or equal to 1"),
        (("extent", "strategies"), {}, "at least one strategy"),
        (("extent", "strategies"), {"Bo": {"kind": "bo"}}, "lower-case"),
        (("extent", "strategies"), {"bo\n": {"kind": "bo"}}, "lower-case"),
        (
            ("extent", "strategies"),
            {"bo": {"kind": "bogus"}},
            "unknown kind .*'bogus'; expected one of random",
        ),
        (("study",), "data", "is a folder of results"),
    ],
)
def test_impossible_values_are_refused(raw, path, value, message):
    part = raw
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(InputError, match=message):
        parse_config(raw)


def _messages(path):
    """Texts in a module's code, docstrings left out."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.body[0].value) for node in ast.walk(tree) if getattr(node, "body", None)
                  and isinstance(node.body, list) and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("package", ["proteins", "embed"])
def test_messages_name_keys_as_the_config_file_has_them(package):
    named = set()
    for path in (ROOT / "tmelt" / package).glob("*.py"):
        for text in _messages(path):
            named |= set(
                re.findall(r"(?<![\w./{])(?:design|runtime|data|backbone|columns)(?:\.[a-z_][a-z0-9_]*)+", text)
            )
    named -= {"data.json"}  # a file
    assert len(named) > 4
    for key in sorted(named):
        part = Config
        for name in key.split("."):
            assert name in getattr(part, "model_fields", ()), f"{key}: no such key in a config file"
            part = part.model_fields[name].annotation


@pytest.mark.parametrize("content", [b"a: [1\nb: 2", b"title: 30 \xb0C", b"- a list", b""])
def test_broken_yaml_is_one_line(tmp_path, content):
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_config(tmp_path / "c.yaml")
    assert str(caught.value).startswith(str(tmp_path / "c.yaml")) and "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, "mine", ["mine"]])
def test_a_source_on_the_command_line_takes_no_broken_part_for_whole(raw, data):
    raw["design"]["data"] = data
    with pytest.raises(InputError, match=r"^config: design\.data"):
        parse_config(raw | {"source": "mine.csv"})


def test_a_data_set_is_named_by_what_shapes_it(raw, tmp_path):
    data = parse_config(raw).design.data
    assert dataset_id(data) == dataset_id(data)
    other = data.model_copy(update={"stop_fraction": 0.2})
    assert dataset_id(other) != dataset_id(data)
    table = tmp_path / "t.csv"
    table.write_text("a")
    own = data.model_copy(update={"source": str(table)})
    before = dataset_id(own)
    assert dataset_id(own.model_copy(update={"source": os.path.relpath(table)})) == before  # wherever it is named from
    braced = table.with_name("t{1}.csv")
    braced.write_text("a")
    with pytest.raises(InputError, match="braces"):
        dataset_id(own.model_copy(update={"source": str(braced)}))
    table.write_text("b")
    assert dataset_id(own) != before
    table.unlink()
    with pytest.raises(InputError, match="no such file"):
        dataset_id(own)


def test_seeds_of_a_search_stay_below_those_of_the_retraining(raw):
    raw["extent"]["seeds"] = [0, 1_000_000]
    with pytest.raises(InputError, match=r"extent\.seeds: .*below 1000000"):
        parse_config(raw)
