"""Make the JSON schema of the config for editors from the model in tmelt/study/config.py.

    python scripts/write_config_schema.py            # writes config.schema.json

A test fails when it drifts from the model. A strategy's options are checked by tmelt alone: they depend on its kind.
"""

import json
from pathlib import Path
from typing import Any

from tmelt.command import run_command
from tmelt.storage.files import write_text
from tmelt.strategies.registry import built_in_kinds
from tmelt.study.config import Config

ROOT = Path(__file__).resolve().parents[1]


def config_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a config file."""
    schema = Config.model_json_schema()
    schema["$defs"]["Strategy"]["properties"]["kind"]["examples"] = list(built_in_kinds())  # what an editor offers
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def write_config_schema(*, path: Path = ROOT / "config.schema.json") -> None:
    """Write the schema of the config to `path`."""
    write_text(path, json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run_command(write_config_schema)
