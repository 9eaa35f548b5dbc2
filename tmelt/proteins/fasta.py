"""FASTA files: entries as written, sequences by name, and headers that carry labels.

Labels in headers are those of FLIP and biotrainer, `>id TARGET=51.2 SET=train VALIDATION=False`, and UniProt's
`OS=Homo sapiens`. Any `KEY=value` is a column of its name.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tmelt.errors import InputError
from tmelt.proteins.text import read_text

ATTRIBUTE = re.compile(r"(?<!\S)([A-Za-z_][A-Za-z0-9_]*)=(\S*)")
ORGANISM = re.compile(r"(?<!\S)OS=(.+?)(?= [A-Z]{2}=|$)")  # the one attribute of UniProt with blanks in its value


class FastaEntry(NamedTuple):
    """One entry of a FASTA file as it is written there."""

    line: int  # of the header, counted from 1
    header: str  # without `>`, single blanks between its words; may be empty
    sequence: str  # all lines joined, as written; may be empty

    @property
    def name(self) -> str:
        """The first word of the header."""
        return self.header.partition(" ")[0]

    @property
    def attributes(self) -> dict[str, str]:
        """What the header says as `KEY=value`; UniProt's OS is called `organism`."""
        words = self.header.partition(" ")[2]
        found = dict(ATTRIBUTE.findall(words))
        if organism := ORGANISM.search(words):
            found.pop("OS")
            found["organism"] = organism.group(1)
        return found


def fasta_entries(path: Path, text: str | None = None) -> list[FastaEntry]:
    """The entries of a FASTA file in its order; headers and sequences may be empty. `text` is the file's, if read.

    Raises:
        InputError: not a text file, or text before the first header.
    """
    found: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", read_text(path) if text is None else text), 1):
        if line.startswith(">"):
            found.append((number, " ".join(line[1:].split()), []))
        elif line.strip() and not line.startswith(";"):
            if not found:
                raise InputError(f"{path}: line {number}: text before the first header; a FASTA entry begins with >")
            found[-1][2].append(line)
    return [FastaEntry(number, header, "".join(lines)) for number, header, lines in found]


def read_fasta(path: Path) -> dict[str, str]:
    """Sequences by name: the first word of the header, and the accession inside `db|accession|name`.

    Raises:
        InputError: no header, an entry without sequence or name, or two different sequences of one name.
    """
    sequences: dict[str, str] = {}
    for entry in fasta_entries(path):
        if not entry.header:
            raise InputError(f"{path}: line {entry.line}: a header without a name; write >name")
        if not entry.sequence.strip():
            raise InputError(f"{path}: line {entry.line}: an entry without a sequence; add it, or remove the header")
        parts = entry.name.split("|")
        for alias in {entry.name, parts[1]} if len(parts) == 3 and parts[1] else {entry.name}:
            if sequences.setdefault(alias, entry.sequence) != entry.sequence:
                raise InputError(f"{path}: line {entry.line}: a second, different sequence for {alias!r}; rename one")
    return sequences


def labelled_fasta(path: Path, text: str) -> tuple[list[str], list[tuple[int, tuple[str | None, ...]]]]:
    """The columns and rows of a FASTA file's text whose headers carry labels; a row's line is that of its header.

    Raises:
        InputError: text before the first header, or no header carries a `KEY=value`.
    """
    entries = fasta_entries(path, text)
    attributes = [entry.attributes for entry in entries]
    keys = list(dict.fromkeys(key for each in attributes for key in each))
    keys = [key for key in keys if key not in ("protein_id", "sequence")]
    if not keys:
        raise InputError(
            f"{path}: a FASTA file without labels; give a table in design.data.source and this file in "
            "design.data.fasta, or write labels into the headers (>name TARGET=51.2)"
        )
    words = Counter(entry.name for entry in entries)
    names = [_plain(entry) if words[entry.name] > 1 else entry.name for entry in entries]
    rows = [
        (entry.line, (name, entry.sequence, *(each.get(key) for key in keys)))
        for entry, name, each in zip(entries, names, attributes, strict=True)
    ]
    return ["protein_id", "sequence", *keys], rows


def _plain(entry: FastaEntry) -> str:
    """The header without its attributes."""
    return " ".join(ATTRIBUTE.sub("", ORGANISM.sub("", entry.header)).split()) or entry.name
