"""Trajectories that stopped (budget spent, pause by the user) and may continue, because the cause has changed."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tmelt.search.history import Proposal
from tmelt.search.notes import Stop, find, notes_from_json
from tmelt.search.spend import Limit, circumstances
from tmelt.storage.files import read_json, sha256_file, sha256_json


def stop_circumstances(options: Mapping[str, Any], trajectory: Path, *limits: Limit) -> str:
    """Return a hash of what a stop may depend on.

    These are the LLM, its budget and patience in the config, the guidance file, and the budgets that end the search.
    """
    guidance = trajectory / "guidance.yaml"
    parts = [options.get("budget"), sha256_file(guidance) if guidance.exists() else None]
    names = ("model", "base_url", "max_tokens", "extra", "stop_after_unusable")
    asked = {name: options[name] for name in names if name in options}
    return sha256_json([*parts, asked, *(part for limit in limits for part in circumstances(limit))])


def with_circumstances(proposal: Proposal, options: Mapping[str, Any], trajectory: Path, *limits: Limit) -> Proposal:
    """A stop with a note of what it depends on now: its block may be closed when the user has changed that already."""
    note = Stop(circumstances=stop_circumstances(options, trajectory, *limits))
    return replace(proposal, state=(*proposal.state, note))


def reopen(trajectory: Path, options: Mapping[str, Any], *limits: Limit) -> None:
    """Delete what records a stop that no longer holds, so that the search goes on from there; transcripts stay."""
    for path in _stale(trajectory, stop_circumstances(options, trajectory, *limits)):
        if path.is_dir():
            # Transcripts of calls that were paid stay where the next proposal finds them. What says that this was a
            # stop goes last: as long as it is there, an interrupted run goes on.
            for child in sorted(path.iterdir(), key=lambda child: child.name == "proposal.json"):
                if child.name != "llm":
                    shutil.rmtree(child) if child.is_dir() else child.unlink()
        else:
            path.unlink(missing_ok=True)


def _stale(trajectory: Path, now: str) -> list[Path]:
    """Files and folders that recorded a stop whose circumstances no longer hold: to be made again.

    They hold no work that was paid for but transcripts: a stopped proposal was not trained. The block's marker and the
    first trial of an open block come last, for the same reason.
    """
    stale: list[Path] = []
    for marker in trajectory.glob("blocks/*.json"):
        block = read_json(marker)
        if block["status"] == "stopped" and block["circumstances"] != now:
            stale += [*trajectory.glob("trials_*"), *trajectory.glob("results_*")]
            stale += [trajectory / f"i{iteration}" for iteration in range(block["stopped_at"], int(marker.stem) + 1)]
            stale.append(marker)
    stops = list(_latest_stops(trajectory))
    if stops:
        folder, proposal = stops[-1]
        note = find(notes_from_json(proposal.get("state"), str(folder / "proposal.json")), Stop)
        if note is None or note.circumstances != now:
            stale += [folder for folder, _ in stops]
    return stale


def _latest_stops(trajectory: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folder and proposal of the stopped trials at a search's end, the latest first; their block may still be open."""
    numbers = (folder.name.removeprefix("i") for folder in trajectory.glob("i[0-9]*"))
    for number in sorted(map(int, filter(str.isdigit, numbers)), reverse=True):
        folder = trajectory / f"i{number}"
        if (folder / "proposal.json").exists():
            proposal = read_json(folder / "proposal.json")
            if proposal.get("status") != "stopped":
                return
            yield folder, proposal
