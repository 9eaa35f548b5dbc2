"""The text of a file, or one line that says what else it is."""

import codecs
import gzip
import io
import zlib
from pathlib import Path

from tmelt.errors import InputError
from tmelt.proteins.faults import Faults

FOREIGN = (
    (b"PK\x03\x04", "is an Excel workbook or a ZIP archive; save the sheet as CSV (UTF-8), or unpack the archive"),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook; save the sheet as CSV (UTF-8)"),
    (b"\x1f\x8b", "is compressed with gzip twice; unpack it first"),
    (b"BZh", "is compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it first"),
    (b"%PDF", "is a PDF; give the table itself as CSV"),
    (b"version https://git-lfs", "is a Git LFS pointer; fetch the file itself with `git lfs pull`"),
)
MOST_BYTES = 2 << 30  # of an unpacked file
HTML = (b"<!doctype html", b"<html", b"<?xml")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is compressed with gzip.

    Raises:
        InputError: no such file, it cannot be read, or it is damaged or too large when unpacked.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return _unpacked(path, raw) if raw.startswith(b"\x1f\x8b") else raw


def _unpacked(path: Path, raw: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip file ({error}); fetch it again") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: more than {MOST_BYTES >> 30} GB when unpacked; is this the right file?")
    return content


def read_text(path: Path, faults: Faults | None = None) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark, without the mark.

    Args:
        path: the file.
        faults: where lines in another encoding are noted, so that the others can be read (those as Windows-1252);
            without it they stop.

    Raises:
        InputError: cannot be read, is empty, is another kind of file, or is in another encoding.
    """
    raw = read_bytes(path)
    for magic, what in FOREIGN:
        if raw.startswith(magic):
            raise InputError(f"{path}: {what}")
    if raw[:200].lstrip().lower().startswith(HTML):
        raise InputError(f"{path}: is a web page or XML, not a table; download the file itself")
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise InputError(f"{path}: is not sound UTF-16 text; save the file with the encoding UTF-8") from None
        lines = [number for number, line in enumerate(raw.split(b"\n"), 1) if not _is_utf8(line)]
        noted = Faults(path) if faults is None else faults
        line = lines[0] if lines else raw[: error.start].count(b"\n") + 1
        others = f" ({len(lines) - 1} more such lines)" if len(lines) > 1 else ""
        what = f"line {line}: is not UTF-8 text; save the file with the encoding UTF-8{others}"
        noted.add_key(str(path), what)
        if faults is None:
            noted.stop()
        text = raw.decode("cp1252", errors="replace")
    if not text.strip():
        raise InputError(f"{path}: is empty; write a header and one row per protein")
    return text


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
