"""The proteins that a person asks about, read and treated as the study treated its own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tmelt.errors import InputError
from tmelt.files import sha256_text
from tmelt.proteins.clean import mask, nonstandard
from tmelt.proteins.read import DELIMITERS, fasta_entries, read_table_file

NUCLEOTIDES = set("ACGTUN")


@dataclass(frozen=True)
class Query:
    """One protein to predict."""

    protein_id: str
    sequence: str  # upper case, without white space and a stop sign at the end
    masked: str | None  # as the network sees it; None where the study would have dropped the protein
    warnings: list[str] = field(default_factory=list)


def read_queries(path: Path, about: dict[str, Any], known: set[str]) -> list[Query]:
    """The proteins of a FASTA file, or of a CSV, TSV or Parquet table with columns `protein_id` and `sequence`.

    Args:
        path: the file.
        about: the bundle's `training` part: `nonstandard`, and the `length` range of the proteins trained on.
        known: SHA-256 of the sequences trained on.

    Raises:
        InputError: unreadable, no protein, a name twice, or what is no amino-acid sequence.
    """
    entries = _table(path) if path.suffix.lower() in (*DELIMITERS, ".parquet") else fasta_entries(path)
    if not entries:
        raise InputError(f"{path}: holds no protein; a FASTA entry is a line `>name`, and the sequence below it")
    first: dict[str, int] = {}
    for line, name, _ in entries:
        if first.setdefault(name, line) != line:
            raise InputError(
                f"{path}: line {line}: a second protein named {name!r}, as in line {first[name]}; rename one"
            )
    cleaned = [(line, name, "".join(text.split()).upper().rstrip("*")) for line, name, text in entries]
    for line, name, sequence in cleaned:
        _check(path, line, name, sequence, about["nonstandard"])
    if sum(set(sequence) <= NUCLEOTIDES for _, _, sequence in cleaned) > len(cleaned) / 2:
        raise InputError(f"{path}: looks like DNA or RNA; translate it to amino acids")
    return [_query(name, sequence, about, known) for _, name, sequence in cleaned]


def _table(path: Path) -> list[tuple[int, str, str]]:
    table = read_table_file(path, {"protein_id", "sequence"})
    for name in ("protein_id", "sequence"):
        if table.columns.count(name) != 1:
            raise InputError(f"{path}: needs one column {name} (there are: {', '.join(table.columns[:12])})")
    places = [table.columns.index(name) for name in ("protein_id", "sequence")]
    entries = []
    for row, cells in table.rows:
        name, sequence = ("" if cells[place] is None else str(cells[place]).strip() for place in places)
        if not name:
            raise table.fault(row, "protein_id", "is empty; name the protein")
        entries.append((row, name, sequence))
    return entries


def _check(path: Path, line: int, name: str, sequence: str, policy: str) -> None:
    """Refuse what is no protein; and, where the study did, residues beyond the 20."""
    place = f"{path}: line {line}: protein {name!r}"
    if not sequence:
        raise InputError(f"{place} has no sequence; add it, or remove the entry")
    odd = next((at for at, letter in enumerate(sequence) if not ("A" <= letter <= "Z" or letter == "*")), None)
    if odd is not None:
        remedy = (
            "remove the gaps of the alignment" if sequence[odd] in "-.~" else "write amino acids in one-letter code"
        )
        raise InputError(f"{place}: {sequence[odd]!r} at position {odd + 1} is no residue; {remedy}")
    if policy == "stop" and (letters := nonstandard(sequence)):
        at = min(sequence.index(letter) for letter in letters)
        raise InputError(
            f"{place}: {sequence[at]!r} at position {at + 1} is none of the 20 amino acids, and the study had only "
            "these; correct it, or remove the protein"
        )


def _query(name: str, sequence: str, about: dict[str, Any], known: set[str]) -> Query:
    masked: str | None = mask(sequence)
    warnings = []
    if letters := nonstandard(sequence):
        if about["nonstandard"] == "drop":
            masked = None
            warnings.append(f"not predicted: non-standard residues {letters}, and the study dropped such proteins")
        else:
            warnings.append(f"non-standard residues {letters} read as X")
    if masked is not None and 2 * masked.count("X") > len(masked):
        masked = None
        warnings.append("not predicted: more than half of the sequence is unknown")
    shortest, longest = about["length"]
    if not shortest <= len(sequence) <= longest:
        which = ("shorter", shortest) if len(sequence) < shortest else ("longer", longest)
        warnings.append("{} than any trained on ({} residues)".format(*which))
    if masked is not None and sha256_text(masked) in known:
        warnings.append("in the training set: the interval is not meant for it")
    return Query(name, sequence, masked, warnings)
