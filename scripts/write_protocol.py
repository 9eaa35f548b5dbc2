"""Fix what makes the scores of a study comparable.

Reads   config (JSON), data.json, the vault's files (for their hashes), embedding.json
Writes  protocol.json
"""

import json
from pathlib import Path

from tmelt.command import run_command
from tmelt.study.config import parse_config
from tmelt.study.protocol import write_protocol


def fix_protocol(*, config: str, data: Path, embedding: Path, protocol: Path) -> None:
    """Write protocol.json for a config whose data and embedding are ready."""
    write_protocol(parse_config(json.loads(config)), data.parent, embedding.parent, protocol)


if __name__ == "__main__":
    run_command(fix_protocol)
