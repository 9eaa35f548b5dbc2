"""Recorded calls of another study in place of a model's (`replay_from`).

The other study's requests tell what was measured there, and a clock never gives the same figure twice. So a recorded
reply counts for a request that differs from the recorded one in numbers of its messages only. The record is then
written again with the new request, so that the new study's transcripts are complete in themselves.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.llm.replay import difference
from tmelt.llm.tool_record import tools_name
from tmelt.llm.transcript import read_record, record_name, write_record

_NUMBER = re.compile(r"[-+−]?\d+(\.\d+)?([eE][-+]?\d+)?")


def taken_over(
    folder: Path, number: int, request_hash: str, request: Mapping[str, Any], source: str
) -> dict[str, Any] | None:
    """The record in this place, made the new study's own; None when there is none.

    Args:
        folder: of the new study's trial, with the other one's records.
        number: of the call, from 1.
        request_hash, request: of the call that the new study would make.
        source: what `replay_from` names.

    Raises:
        InputError: the request differs in more than numbers; the message shows the difference.
    """
    path = folder / record_name(number)
    if not path.exists():
        return None
    record = read_record(path)
    if record["request_hash"] == request_hash:
        return record
    recorded, now = _without_numbers(record["request"]), _without_numbers(request)
    if recorded != now:
        raise InputError(
            f"{path}: {source} answers another request; take the options, the data and the prompts of that study, or"
            " remove replay_from to ask the model (- recorded, + now, # for a number)\n" + difference(recorded, now)
        )
    tools = folder / tools_name(number)
    if tools.exists():  # first: without the new hash in the record, a run that is killed here begins again
        write_record(tools, {**read_record(tools), "request_hash": request_hash})
    origin = {"source": source, "request_hash": record["request_hash"]}
    return write_record(path, {**record, "request": dict(request), "request_hash": request_hash, "taken_from": origin})


def missing(path: Path, purpose: str, source: str) -> InputError:
    """The complaint about a call that the other study has not recorded."""
    return InputError(
        f"{path}: {source} has no reply for this call ({purpose}), and with replay_from no model is asked; lower"
        " extent.iterations or extent.trajectories to what is recorded, or remove replay_from to go on with the model"
    )


def _without_numbers(request: Mapping[str, Any]) -> dict[str, Any]:
    blank = {key: _blank(request[key]) for key in ("messages", "briefing") if key in request}
    return {**request, **blank}


def _blank(value: Any) -> Any:
    """A JSON value with `#` for every number, inside texts as well."""
    if isinstance(value, str):
        return _NUMBER.sub("#", value)
    if isinstance(value, Mapping):
        return {_blank(key): _blank(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_blank(part) for part in value]
    return "#" if isinstance(value, int | float) and not isinstance(value, bool) else value
