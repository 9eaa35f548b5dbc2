"""Metadata at the head of a model card, as the Hugging Face Hub reads them from README.md.

Keys as in https://github.com/huggingface/hub-docs/blob/main/modelcard.md?plain=1.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tmelt.bundle.verdict import verdict
from tmelt.study.target import Target

_BLOCK = re.compile(r"\A---\n.*?^---\n+", re.MULTILINE | re.DOTALL)


def front_matter(about: Mapping[str, Any], target: Target) -> str:
    """Return the block of YAML before a card's title, from what bundle.json holds."""
    backbone, measured = about["backbone"], about["measured"]
    metadata: dict[str, Any] = {
        "license": "unknown",  # the study records none
        "library_name": "tmelt",
        "tags": ["protein", "regression", f"verdict-{verdict(about).kind}"],
    }
    if backbone["released"]:
        metadata["base_model"] = f"facebook/{backbone['name']}"
    errors = {
        target.axis("MAE on test of the mean prediction"): measured["winner"]["test_ensemble_mae"],
        target.axis("MAE on test, mean over the seeds"): measured["winner"]["test_mae"],
    }
    metadata["model-index"] = [
        {
            "name": about["study"],
            "results": [
                {
                    "task": {"type": "tabular-regression", "name": f"{target.name} of proteins from sequence"},
                    "dataset": {
                        "type": about["training"]["dataset"],
                        "name": about["training"]["description"],
                        "split": "test",
                    },
                    "metrics": [{"type": "mae", "name": name, "value": value} for name, value in errors.items()],
                }
            ],
        }
    ]
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)}---\n\n"


def without_front_matter(card: str) -> str:
    """Return a card from its title on."""
    return _BLOCK.sub("", card, count=1)
