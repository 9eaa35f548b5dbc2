"""Which recorded call answers a request: the rules of `replay: off | fill | strict`.

strict  only recorded calls count. Anything that differs from the record (model, parameters, messages, order, a call
        too many or too few) stops with the difference. Nothing is written, and no model is ever built.
fill    the call recorded in the same place is used if its request is the same. If not, it moves aside as
        `NN.superseded-k.json` (and is used again should the old request come back), and the model is asked.
        This is also what makes a restart after a kill find the reply that was already paid for.
off     the model is always asked. Older calls move aside in the same way, so nothing paid is lost, but a proposal
        that was killed half-way pays for its calls again.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.llm.transcript import pending_name, read_record, record_name, supersede
from tmelt.text.diff import unified_lines

_LONGEST_DIFFERENCE = 80  # lines


def strictly_recorded(
    folder: Path, number: int, request_hash: str, request: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The record in this place; None when there is none.

    Raises:
        InputError: it answers another request; the message shows the difference.
    """
    path = folder / record_name(number)
    if not path.exists():
        return None
    record = read_record(path)
    if record["request_hash"] != request_hash:
        raise InputError(
            f"{path}: strict replay: the request is not the recorded one (- recorded, + now)\n"
            + difference(record["request"], request)
        )
    return record


def reusable(folder: Path, number: int, request_hash: str) -> dict[str, Any] | None:
    """`fill`: the record of this request in this place, or None after the place was made free for a call."""
    path = folder / record_name(number)
    if path.exists():
        record = read_record(path)
        if record["request_hash"] == request_hash:
            (folder / pending_name(number)).unlink(missing_ok=True)
            return record
        supersede(path)
    for older in sorted(folder.glob(f"{number:02d}.superseded-*.json"), reverse=True):
        record = read_record(older)
        if record["request_hash"] == request_hash and record["reply"] is not None:
            older.rename(path)
            return record
    return None


def unused(folder: Path, used: int) -> Iterator[Path]:
    """Records beyond the calls that were asked for."""
    for path in sorted(folder.glob("*.json")):
        stem = path.name.partition(".")[0]
        if path.name in (f"{stem}.json", f"{stem}.pending.json") and stem.isdigit() and int(stem) > used:
            yield path


def difference(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """A unified diff of two requests, for a reader."""
    lines = list(unified_lines(list(_readable(recorded)), list(_readable(now)), "recorded", "now", context=2))
    if len(lines) > _LONGEST_DIFFERENCE:
        lines = [*lines[:_LONGEST_DIFFERENCE], f"… and {len(lines) - _LONGEST_DIFFERENCE} more lines"]
    return "\n".join(lines)


def _readable(request: Mapping[str, Any]) -> Iterator[str]:
    yield f"model: {request['model']}"
    for name, value in sorted(request["parameters"].items()):
        yield f"{name}: {value!r}"
    for number, message in enumerate(request["messages"], 1):
        yield f"message {number} ({message['role']}):"
        for line in message["content"].split("\n"):
            yield f"  {line}"
        for call in message.get("tool_calls", ()):
            yield f"  calls {call['name']}: {call['args']!r}"
    for tool in request.get("tools", ()):
        yield f"tool: {tool['function']['name']}: {tool['function']['description']}"
