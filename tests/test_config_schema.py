"""The config's JSON schema for editors is made from the model, and shipped configs name and follow it."""

import importlib.util
import json
import re

import jsonschema
import pytest
import yaml
from test_config import ROOT, SHIPPED

SCHEMA = json.loads((ROOT / "config.schema.json").read_text())


def complaints(raw):
    return list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(raw))


def test_the_schema_is_what_the_model_makes(tmp_path):
    spec = importlib.util.spec_from_file_location("write_config_schema", ROOT / "scripts" / "write_config_schema.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write_config_schema(path=tmp_path / "schema.json")
    made = (tmp_path / "schema.json").read_text()
    assert made == (ROOT / "config.schema.json").read_text(), "run scripts/write_config_schema.py"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configs_name_the_schema_and_follow_it(path):
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text())
    assert named and (path.parent / named[1]).resolve() == ROOT / "config.schema.json"
    assert not complaints(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "change",
    [{"desing": {}}, {"study": "Not A Name"}, {"extent": {"iterations": 0, "strategies": {}}}, {"on_change": "ignore"}],
    ids=lambda change: next(iter(change)),
)
def test_the_schema_refuses_what_the_model_refuses(change):
    raw = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert complaints(raw | change)
