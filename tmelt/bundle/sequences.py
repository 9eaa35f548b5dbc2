"""Proteins to predict: read from a file and treated as the study treated its own.

An entry that cannot be predicted stays in the list with its reason, so that one bad entry does not stop a proteome.
A file in which more than half of the entries are no proteins is refused.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.proteins.clean import mask, nonstandard
from tmelt.proteins.columns import likely
from tmelt.proteins.fasta import fasta_entries
from tmelt.proteins.table import is_fasta, read_table_file
from tmelt.storage.files import sha256_text

NUCLEOTIDES = set("ACGTUN")
SKIPPED = "not predicted: "
# A protein of this many residues that uses fewer kinds of amino acids is a repeat, DNA or a placeholder: in a random
# sequence of this length and natural composition, fewer than five kinds have a probability below 1e-9.
KINDS_LENGTH, KINDS_LEAST = 20, 5


@dataclass(frozen=True)
class Query:
    """One entry of the file, and what to predict of it."""

    protein_id: str  # the header's first word; the whole header where first words collide
    sequence: str  # upper case, without white space and a stop sign at the end
    masked: str | None  # as the network sees it; None where it is not predicted
    warnings: list[str] = field(default_factory=list)


def read_queries(path: Path, about: dict[str, Any], known: set[str]) -> list[Query]:
    """The proteins of a FASTA file, or of a CSV, TSV or Parquet table with columns `protein_id` and `sequence`.

    Args:
        path: the file.
        about: the bundle's `training` part: `nonstandard`, and the `length` range of the proteins trained on.
        known: SHA-256 of the sequences trained on.

    Returns:
        One query per entry, in the file's order, with distinct names. Entries that cannot be predicted have `masked`
        None and a warning that begins with `not predicted`.

    Raises:
        InputError: unreadable, no entry, or most entries are not amino-acid sequences.
    """
    is_table = not is_fasta(path)
    entries = (
        _table(path) if is_table else [(entry.line, entry.header, entry.sequence) for entry in fasta_entries(path)]
    )
    if not entries:
        raise InputError(f"{path}: holds no protein; a FASTA entry is a line `>name`, and the sequence below it")
    names = _names(entries, by_word=not is_table)
    cleaned = ["".join(text.split()).upper().rstrip("*") for _, _, text in entries]
    if sum(bool(sequence) and set(sequence) <= NUCLEOTIDES for sequence in cleaned) > len(cleaned) / 2:
        raise InputError(f"{path}: looks like DNA or RNA; translate it to amino acids")
    faults = [_fault(sequence) for sequence in cleaned]
    bad = [at for at, fault in enumerate(faults) if fault]
    if len(bad) > len(cleaned) / 2:
        line, name = entries[bad[0]][0], names[bad[0]][0]
        more = f" ({len(bad) - 1} more of {len(cleaned)} entries cannot be read)" if len(bad) > 1 else ""
        raise InputError(f"{path}: line {line}: protein {name!r}: {faults[bad[0]]}{more}")
    return [
        Query(name, sequence, None, [*notes, SKIPPED + fault])
        if fault
        else _query(name, sequence, about, known, list(notes))
        for (name, notes), sequence, fault in zip(names, cleaned, faults, strict=True)
    ]


def _names(entries: list[tuple[int, str, str]], by_word: bool) -> list[tuple[str, list[str]]]:
    """A distinct name for each entry, with a note where it had to be made.

    Args:
        entries: line, header or name, and sequence.
        by_word: the name is the first word of the header, unless several entries share it.
    """
    words = [text.partition(" ")[0] if by_word else text for _, text, _ in entries]
    shared = {word for word, count in Counter(words).items() if count > 1}
    chosen = [text if word in shared else word for word, (_, text, _) in zip(words, entries, strict=True)]
    taken = set(chosen)
    first: dict[str, int] = {}
    named: list[tuple[str, list[str]]] = []
    for name, (line, _, _) in zip(chosen, entries, strict=True):
        if name and first.setdefault(name, line) == line:
            named.append((name, []))
            continue
        made = " ".join(filter(None, (name, f"[line {line}]")))
        while made in taken:  # another entry has this name already
            made += "'"
        taken.add(made)
        named.append((made, [f"same name as line {first[name]}: named by its line" if name else "no name"]))
    return named


def _table(path: Path) -> list[tuple[int, str, str]]:
    table = read_table_file(path)
    places = []
    for name in ("protein_id", "sequence"):
        fitting = [name] if name in table.columns else likely(table.columns, name)
        if not fitting or table.columns.count(fitting[0]) != 1 or (name == "sequence" and len(fitting) > 1):
            raise InputError(f"{path}: needs one column {name} (there are: {', '.join(table.columns[:12])})")
        places.append(table.columns.index(fitting[0]))
    entries = []
    for row, cells in table.rows:
        name, sequence = ("" if cells[place] is None else str(cells[place]).strip() for place in places)
        entries.append((row, name, sequence))
    return entries


def _fault(sequence: str) -> str | None:
    """Why this is not an amino-acid sequence, and the remedy; None where it is one."""
    if not sequence:
        return "no sequence; add it, or remove the entry"
    odd = next((at for at, letter in enumerate(sequence) if not ("A" <= letter <= "Z" or letter == "*")), None)
    if odd is None:
        return None
    remedy = "remove the gaps of the alignment" if sequence[odd] in "-.~" else "write amino acids in one-letter code"
    return f"{sequence[odd]!r} at position {odd + 1} is no residue; {remedy}"


def _query(name: str, sequence: str, about: dict[str, Any], known: set[str], warnings: list[str]) -> Query:
    masked: str | None = mask(sequence)
    if letters := nonstandard(sequence):
        if about["nonstandard"] == "drop":
            masked = None
            warnings.append(f"{SKIPPED}non-standard residues {letters}, and the study dropped such proteins")
        elif about["nonstandard"] == "stop":
            masked = None
            at = min(sequence.index(letter) for letter in letters)
            warnings.append(
                f"{SKIPPED}{sequence[at]!r} at position {at + 1} is none of the 20 amino acids, and the study had "
                "only these"
            )
        else:
            warnings.append(f"non-standard residues {letters} read as X")
    if masked is not None and 2 * masked.count("X") > len(masked):
        masked = None
        warnings.append(f"{SKIPPED}more than half of the sequence is unknown")
    kinds = set(sequence) - {"X"}
    if len(sequence) >= KINDS_LENGTH and kinds <= NUCLEOTIDES and len(kinds) > 1:
        warnings.append("looks like DNA or RNA")
    elif len(sequence) >= KINDS_LENGTH and len(kinds) < KINDS_LEAST:
        warnings.append(f"only {len(kinds)} kinds of amino acids in {len(sequence)} residues")
    shortest, longest = about["length"]
    if not shortest <= len(sequence) <= longest:
        which = ("shorter", shortest) if len(sequence) < shortest else ("longer", longest)
        warnings.append("{} than any trained on ({} residues)".format(*which))
    if masked is not None and sha256_text(masked) in known:
        warnings.append("in the training set: the interval is not meant for it")
    return Query(name, sequence, masked, warnings)
