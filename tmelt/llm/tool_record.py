"""The results of the tools that one reply called, kept beside it: `02.tools.json` for the call `02.json`.

A replay takes results from there. What is replaced moves aside as `02.tools.superseded-1.json`, because its seconds
were spent; calls that the new file takes over from it are marked as `carried`, so that they count once.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.llm.tools import ToolResult
from tmelt.llm.transcript import read_record, write_record
from tmelt.storage.files import sha256_json


@dataclass(frozen=True)
class ToolUsage:
    """What all tools recorded in one folder used."""

    calls: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    device_s: float = 0.0


def tools_name(number: int) -> str:
    """File name of the results of the tools that call `number` asked for."""
    return f"{number:02d}.tools.json"


def recorded_or_run(
    path: Path,
    place: int,
    request_hash: str,
    name: str,
    arguments: Mapping[str, Any],
    run: Callable[[], ToolResult],
    replay: str,
) -> ToolResult:
    """The result of one use of a tool: recorded in `path` at this place, or run and recorded.

    Args:
        path: NN.tools.json.
        place: which use of a tool it is for this reply, from 0.
        request_hash: of the call NN.
        name, arguments: of the tool.
        run: runs it.
        replay: see tmelt.llm.replay.

    Raises:
        InputError: strict replay, and another use of a tool is recorded there, or none.
    """
    record = read_record(path) if path.exists() else None
    use = {"name": name, "arguments": dict(arguments)}
    fresh = replay == "off" and place == 0
    found = record["calls"] if record is not None and record["request_hash"] == request_hash and not fresh else []
    if place < len(found) and sha256_json({key: found[place][key] for key in use}) == sha256_json(use):
        return ToolResult(**found[place]["result"])
    if replay == "strict":
        recorded = found[place]["name"] if place < len(found) else "nothing"
        raise InputError(
            f"{path}: strict replay: use {place + 1} of a tool is `{name}` now, and {recorded} is recorded"
        )
    kept = found[:place]
    if record is not None and len(kept) < len(record["calls"]):
        _supersede(path)
        kept = [call | {"carried": True} for call in kept]
    result = run()
    calls = [*kept, use | {"result": asdict(result), "carried": False}]
    write_record(path, {"format": 1, "request_hash": request_hash, "calls": calls})
    return result


def tool_usage_of(folder: Path) -> ToolUsage:
    """What the tools recorded in a folder used, superseded records included."""
    results = [
        call["result"]
        for path in sorted(folder.glob("*.tools*.json"))
        for call in read_record(path)["calls"]
        if not call["carried"]
    ]
    total = {key: round(sum(result[key] for result in results), 3) for key in ("seconds", "cpu_s", "device_s")}
    return ToolUsage(len(results), **total)


def _supersede(path: Path) -> None:
    number = 1
    while (target := path.with_name(f"{path.name.removesuffix('.json')}.superseded-{number}.json")).exists():
        number += 1
    path.rename(target)
