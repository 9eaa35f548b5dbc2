r"""The files under `llm/`, which together are the journal of all calls of one proposal.

    01.json                     a call with its reply, in order; written before anything acts on the reply
    02.pending.json             a call that has not been answered: written before each try, gone with the answer
    01.superseded-1.json        a call, answered or not, whose place was taken by another request; never deleted

Because money was spent on them, none is ever overwritten, and Snakemake does not know them (it deletes the outputs of
failed jobs). A record carries the SHA-256 of its own content: an edited one is refused.
"""

import fcntl
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tmelt.errors import InfrastructureError, InputError
from tmelt.storage.files import read_json, sha256_json, write_json

_RECORD = re.compile(r"^\d\d+(\.pending|\.superseded-\d+)?\.json$")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Usage:
    """What the calls of one proposal cost; None where at least one of them is unknown."""

    calls: int = 0  # requests that were, or may have been, billed
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost_usd: float | None = 0.0


@dataclass(frozen=True)
class Charge:
    """What counts against a budget: real usage where known, else what was reserved for the call.

    Tokens of calls without a price are counted in `unpriced_tokens` as well.
    """

    usd: float = 0.0
    tokens: int = 0
    calls: int = 0
    unpriced_tokens: int = 0

    def __add__(self, other: "Charge") -> "Charge":
        return Charge(
            self.usd + other.usd,
            self.tokens + other.tokens,
            self.calls + other.calls,
            self.unpriced_tokens + other.unpriced_tokens,
        )


def record_name(number: int) -> str:
    """File name of the call with this number, from 1."""
    return f"{number:02d}.json"


def pending_name(number: int) -> str:
    """File name of its journal before it is answered."""
    return f"{number:02d}.pending.json"


def write_record(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write a record, sealed with the hash of its content, and return it as it will be read."""
    content = {key: value for key, value in record.items() if key != "sha256"}
    sealed = {**content, "sha256": sha256_json(content)}
    write_json(path, sealed)
    return sealed


def read_record(path: Path) -> dict[str, Any]:
    """Read a record and check its seal.

    Raises:
        InputError: missing, damaged or changed by hand.
    """
    record = read_json(path)
    content = {key: value for key, value in record.items() if key != "sha256"} if isinstance(record, dict) else None
    if content is None or record.get("sha256") != sha256_json(content):
        raise InputError(f"{path}: this transcript was changed after it was written; restore the file")
    return record


def records(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """All records of a folder, answered or not, in order of name."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if _RECORD.match(path.name):
                answer = path.with_name(path.name.replace(".pending", ""))
                # The process may die between writing the answer and removing its journal.
                if not (answer != path and answer.exists() and _is_answered_by(path, answer)):
                    yield path, read_record(path)


def _is_answered_by(pending: Path, answer: Path) -> bool:
    return read_record(pending)["request_hash"] == read_record(answer)["request_hash"]


def supersede(path: Path) -> None:
    """Give a record's place free, keeping the record."""
    stem = path.name.split(".")[0]
    pending = path.with_name(pending_name(int(stem)))
    if pending != path and pending.exists() and _is_answered_by(pending, path):
        pending.unlink()  # left by a process that died between the two; without its answer it would count as lost
    number = 1
    while (target := path.with_name(f"{stem}.superseded-{number}.json")).exists():
        number += 1
    path.rename(target)


def earlier_attempts(pending: Path, request_hash: str) -> list[dict[str, Any]]:
    """Tries of the same call by a process that ended; a journal of another request moves aside."""
    if not pending.exists():
        return []
    record = read_record(pending)
    for attempt in record["attempts"]:
        if attempt["outcome"] == "in flight":
            attempt["outcome"] = "lost"
            attempt["error"] = "the process ended before a reply was recorded"
    write_record(pending, record)
    if record["request_hash"] != request_hash:
        supersede(pending)
        return []
    return record["attempts"]


def lost_tries(record: Mapping[str, Any]) -> int:
    """Tries that may have been billed without a reply that was read, the one in flight included."""
    unread = record["reply"] is None and "received" in record
    return sum(attempt["outcome"] in ("lost", "in flight") for attempt in record["attempts"]) + unread


def usage_of(folder: Path) -> Usage:
    """What everything recorded in `folder` cost: unknown as soon as one part is."""
    usage = Usage()
    for _, record in records(folder):
        lost = lost_tries(record)
        reply = record["reply"]
        if not lost and reply is None:
            continue
        free = record["price"] is not None and record["price"]["input"] == record["price"]["output"] == 0
        cost = record["cost_usd"] if reply is not None else 0.0
        usage = Usage(
            calls=usage.calls + lost + (reply is not None),
            prompt_tokens=_sum(usage.prompt_tokens, None if lost else record["usage"]["prompt_tokens"]),
            completion_tokens=_sum(usage.completion_tokens, None if lost else record["usage"]["completion_tokens"]),
            cost_usd=_sum(usage.cost_usd, None if lost and not free else cost),
        )
    return usage


def charge_of(folder: Path) -> Charge:
    """What everything recorded in `folder` counts against a budget."""
    total = Charge()
    for _, record in records(folder):
        reserved, lost = record["reserved"], lost_tries(record)
        tokens = lost * (reserved["prompt_tokens"] + reserved["completion_tokens"])
        usd = lost * (reserved["usd"] or 0.0)
        unpriced = tokens if reserved["usd"] is None else 0
        if record["reply"] is not None:
            usage = record["usage"]
            used = 0
            for name in ("prompt_tokens", "completion_tokens"):
                used += reserved[name] if usage[name] is None else usage[name]
            tokens += used
            if record["cost_usd"] is not None:
                usd += record["cost_usd"]
            elif reserved["usd"] is not None:
                usd += reserved["usd"]
            else:
                unpriced += used
        total += Charge(usd, tokens, lost + (record["reply"] is not None), unpriced)
    return total


@contextmanager
def locked(folder: Path, wait_s: float) -> Iterator[None]:
    """Hold the folder's lock, so that a job orphaned by a kill and its successor do not both pay for one call.

    Raises:
        InfrastructureError: another process held it all the time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with (folder / ".lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InfrastructureError(
                        f"{folder}: another process has been calling the model for {wait_s:.0f} s; end it first"
                    ) from None
                time.sleep(0.2)
            except OSError as error:  # file systems without locks
                _log.warning("%s: cannot be locked (%s); do not run two jobs for one proposal", folder, error)
                break
        yield


def _sum(total: float | None, part: float | None) -> Any:
    return None if total is None or part is None else round(total + part, 9)
