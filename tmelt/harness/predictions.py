"""What comes back from a candidate: read as raw numbers by a process that trusts none of it.

Nothing is unpickled, imported, followed or formatted; a file that is not a plain file of the right size is an outcome,
not an error.
"""

import json
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_CURVE_BYTES = 4 << 20
_CURVE_LINES = 10_000
REPORTS_MAX = 20  # names that one run may report
REPORT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
# target units; far beyond any label, and far below where sums and squares of errors are no longer finite.
_LARGEST = 1e6


class Invalid(Exception):
    """A result that cannot be measured: one of a closed list of words, so that no untrusted text travels with it."""

    def __init__(self, reason: str, status: str = "invalid"):
        super().__init__(reason)
        self.reason = reason
        self.status = status


@contextmanager
def open_plain_file(path: Path, *, most: int) -> Iterator[BinaryIO]:
    """A regular file with one name and at most `most` bytes, opened to read.

    Raises:
        Invalid: no such file; or (status `tamper`) a link, a FIFO, a device, a hard link, or too large.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Invalid("no_predictions") from None
    except OSError:
        raise Invalid("not_a_plain_file", "tamper") from None
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_nlink != 1:
            raise Invalid("not_a_plain_file", "tamper")
        if state.st_size > most:
            raise Invalid("too_large", "tamper")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_plain_file(path: Path, *, most: int) -> bytes:
    """The bytes of a regular file with one name, at most `most` of them.

    Raises:
        Invalid: as `open_plain_file`.
    """
    with open_plain_file(path, most=most) as file:
        return file.read(most + 1)


def read_predictions(path: Path, count: int) -> np.ndarray:
    """`count` finite float64 (target units) from a raw little-endian file.

    Raises:
        Invalid: a wrong number of them, or one that is not finite or beyond anything that could be a temperature.
    """
    raw = read_plain_file(path, most=64 << 20)
    if len(raw) != 8 * count:
        raise Invalid("wrong_count")
    values = np.frombuffer(raw, dtype="<f8")
    if not np.isfinite(values).all():
        raise Invalid("not_finite")
    if (np.abs(values) > _LARGEST).any():
        raise Invalid("out_of_range")
    return values


def _number(value: Any) -> float | None:
    """A finite float, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def read_curve(path: Path) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """The candidate's own account of its fit: its epochs, and the last value of each number that it reports.

    Known keys, legal names and finite numbers only; everything else is dropped.

    Returns:
        Rows of CURVE, where `reports` has what was reported up to that epoch (after the last one: until the end) as
        JSON; and at most REPORTS_MAX numbers by name.
    """
    rows: list[dict[str, Any]] = []
    reports: dict[str, float] = {}
    since: dict[str, float] = {}  # reported since the last epoch
    for claim in _claims(path):
        if isinstance(claim.get("report"), dict):
            for name, value in claim["report"].items():
                number = _number(value)
                known = name in reports or (len(reports) < REPORTS_MAX and REPORT_NAME.fullmatch(name))
                if known and number is not None:
                    reports[name] = since[name] = number
            continue
        if (epoch := _number(claim.get("epoch"))) is None or abs(epoch) > 1e9:
            continue
        told = {key: _number(claim.get(key)) for key in ("fit_loss", "stop_mae", "learning_rate")}
        rows.append({"epoch": int(epoch)} | told | {"reports": _packed(since)})
        since = {}
    if rows and since:
        rows[-1]["reports"] = _packed(json.loads(rows[-1]["reports"] or "{}") | since)
    return rows, reports


def _claims(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects among the lines of a file that a candidate wrote."""
    try:
        lines = read_plain_file(path, most=_CURVE_BYTES).splitlines()[:_CURVE_LINES]
    except Invalid:
        return
    for line in lines:
        try:
            claim = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(claim, dict):
            yield claim


def _packed(reports: dict[str, float]) -> str | None:
    """Reported numbers as JSON; None where there are none."""
    return json.dumps(reports) if reports else None


def read_parameter_count(path: Path) -> int | None:
    """The number of trainable parameters that the candidate reports, if it is one."""
    try:
        claim = json.loads(read_plain_file(path, most=1 << 16))
    except (Invalid, ValueError, RecursionError):
        return None
    count = _number(claim.get("parameter_count")) if isinstance(claim, dict) else None
    return int(count) if count is not None and 0 <= count < 1e12 else None


def folder_size(folder: Path) -> int:
    """Bytes of the plain files in a folder that a candidate wrote; links count as nothing and are not followed."""
    total, folders = 0, [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # too deep or made unreadable: what cannot be seen is not counted
            continue
    return total
