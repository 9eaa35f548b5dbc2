"""Trajectories that stopped (budget spent, a person's pause) and may go on, because what stopped them has changed."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tmelt.files import read_json, sha256_file, sha256_json


def stop_circumstances(options: Mapping[str, Any], trajectory: Path) -> str:
    """Hash of what a stop may depend on: the LLM budget in the config and the person's guidance file."""
    guidance = trajectory / "guidance.yaml"
    return sha256_json([options.get("budget"), sha256_file(guidance) if guidance.exists() else None])


def _stale(trajectory: Path, options: Mapping[str, Any]) -> list[Path]:
    """Files and folders that recorded a stop whose circumstances no longer hold: to be made again.

    They hold no work that was paid for but transcripts: a stopped proposal was not trained. The block's marker comes
    last: as long as it is there, whoever was interrupted while deleting these goes on.
    """
    stale: list[Path] = []
    for marker in trajectory.glob("blocks/*.json"):
        block = read_json(marker)
        if block["status"] != "stopped" or block["circumstances"] == stop_circumstances(options, trajectory):
            continue
        stale += [*trajectory.glob("trials_*"), *trajectory.glob("results_*")]
        stale += [trajectory / f"i{iteration}" for iteration in range(block["stopped_at"], int(marker.stem) + 1)]
        stale.append(marker)
    return stale


def reopen(trajectory: Path, options: Mapping[str, Any]) -> None:
    """Delete what records a stop that no longer holds, so that the search goes on from there; transcripts stay."""
    for path in _stale(trajectory, options):
        if path.is_dir():
            # Transcripts of calls that were paid stay where the next proposal finds them.
            for child in path.iterdir():
                if child.name != "llm":
                    shutil.rmtree(child) if child.is_dir() else child.unlink()
        else:
            path.unlink(missing_ok=True)
