"""Record what makes the trials of one strategy one search: kind, options, the hash of its prompt.

Reads   config (JSON)
Writes  strategy.json
"""

import json
from pathlib import Path

from tmelt.command import run_command
from tmelt.storage.files import write_json
from tmelt.study.config import parse_config
from tmelt.study.identity import strategy_of


def describe_strategy(*, config: str, strategy: str, described: Path) -> None:
    """Write the identity of `strategy`; a later start compares the config with it."""
    write_json(described, strategy_of(parse_config(json.loads(config)), strategy))


if __name__ == "__main__":
    run_command(describe_strategy)
