"""Which column of a table means what.

A column that the config names must be there. For the others the header is searched for the names that the field uses
(`NAMES`, compared without case, blanks and signs). One fitting column is taken, and said; several stop the reading,
except for names and organisms, where the first of the list is taken.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tmelt.proteins.faults import Faults
from tmelt.proteins.mutation import MutationError, parse_mutations
from tmelt.proteins.table import Table
from tmelt.study.config import Columns, Data

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    "select": "select",
    **dict.fromkeys(("test", "testing"), "test"),
    "fit": "fit",
    "stop": "stop",
}
# Sequences of wild types, which are read only beside a mutation.
WILD_SEQUENCES = ("wtsequence", "wtseq", "wildtypesequence", "wildtypeseq", "sequencewt", "targetseq")
# By preference; `strict` ones must be unique.
NAMES: dict[str, tuple[str, ...]] = {
    "protein_id": (
        "proteinid", "seqid", "sequenceid", "id", "uniprotid", "uniprot", "uniprotaccession", "uniprotac", "accession",
        "uniprotkbac", "entry", "proteinname", "protein", "name", "genename", "gene",
    ),
    "sequence": (
        "sequence", "seq", "proteinsequence", "aasequence", "aaseq", "aminoacidsequence", "aminoacids", "fullsequence",
        "mutatedsequence", "mutantsequence", "mutatedseq", "mutantseq", "mutseq", *WILD_SEQUENCES,
    ),
    "tm": (
        "tm", "tmc", "tmdegc", "tmindegc", "tmcelsius", "tmincelsius", "meltingtemperature", "meltingtemperaturec",
        "meltingtemperaturedegc", "meltingtemperaturecelsius", "meltingtemp", "meltingtempc", "meltingpoint",
        "meltingpointc", "meltpoint", "meltpointc", "melttemp", "melttemperature", "quannormmeltpoint", "meantm",
        "tmmean", "averagetm", "tmaverage", "mediantm", "tmmedian", "tmapp", "apparenttm", "tmvalue", "target",
    ),
    "organism": (
        "organism", "organismname", "sourceorganism", "species", "speciesname", "scientificname", "taxon", "taxonname",
    ),
    "split": ("split", "set", "partition", "stage"),
    "validation": ("validation", "isvalidation"),
    "mutation": (
        "mutation", "mutations", "mutant", "mutants", "variant", "mutationcode", "aasubstitution", "aasubstitutions",
        "substitution", "substitutions", "mut", "aachange", "aminoacidchange", "hgvs", "hgvsp", "variants",
    ),
    "position": ("position",),
    "wild_type": ("wildtype",),
}  # fmt: skip
STRICT = ("sequence", "tm", "split")
# Columns that tell under which conditions a label was measured.
CONDITIONS = (
    "ph", "assay", "assaytype", "method", "technique", "measure", "measurement", "datasource", "buffer", "instrument",
    "experiment", "cellline", "celllineortype", "runname", "run", "ligand", "additive", "saltconcentration",
)  # fmt: skip
CURVE = ("temperature", "foldchange", "channel")  # the points of melting curves: a long table


def plain(name: str) -> str:
    """A column's name without case, blanks, units' signs and punctuation; a Greek delta becomes the letter d."""
    return re.sub(r"[^a-z0-9]", "", name.replace("∆", "d").replace("Δ", "d").replace("δ", "d").lower())


def likely(columns: list[str], key: str) -> list[str]:
    """The columns whose names are those of `key`, the preferred first."""
    known = NAMES[key]
    return sorted((name for name in columns if plain(name) in known), key=lambda name: known.index(plain(name)))


@dataclass
class Found:
    """The columns of a table by their meaning."""

    at: dict[str, int] = field(default_factory=dict)  # key of Columns (or position, wild_type) to place
    names: dict[str, str] = field(default_factory=dict)  # the same to the column's name
    recognised: list[str] = field(default_factory=list)  # keys that the config does not name
    invented: list[str] = field(default_factory=list)  # what is made because no column has it
    unused: list[str] = field(default_factory=list)  # columns that nothing reads
    conditions: list[str] = field(default_factory=list)  # columns that tell how a label was measured

    def notes(self) -> list[str]:
        """What was found, made and left, a line each."""
        read = ", ".join(f"{key} from {self.names[key]!r}" for key in self.names)
        lines = [f"columns: {read}"]
        if self.invented:
            lines.append("made: " + ", ".join(self.invented))
        if self.unused:
            lines.append("not used: " + ", ".join(map(repr, self.unused)))
        return lines


def with_names(data: Data, found: Found) -> Data:
    """The settings with the names of the columns as they stand in the table, for messages."""
    names = {key: name for key, name in found.names.items() if key in Columns.model_fields}
    return data.model_copy(update={"columns": data.columns.model_copy(update=names)})


def find_columns(table: Table, data: Data, faults: Faults) -> Found:
    """Where each column stands. Everything that is wrong with the header is added to `faults`."""
    columns, names, fasta = data.columns, table.columns, data.fasta is not None
    found = Found()
    broken = [at for at, name in enumerate(names, 1) if not name.isprintable()]
    if broken:
        faults.add(f"the name of column {broken[0]} holds a line break or a control character; rename it")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    for name in twice:
        faults.add(f"column {name} stands twice in the header; rename one of them")
    if broken or twice:
        return found
    _check_settings(columns, fasta, faults)
    for key in Columns.model_fields:
        name = _choose(key, table, columns, fasta, faults, data.column_key)
        if name is not None:
            found.at[key], found.names[key] = names.index(name), name
            if key not in columns.model_fields_set:
                found.recognised.append(key)
    _choose_parts(table, columns, found)
    _check_needed(table, columns, fasta, found, faults)
    taken: dict[str, str] = {}
    for key, name in found.names.items():
        if name in taken:
            faults.add_key(
                f"design.data.columns.{key}", f"{name!r} is also named for {taken[name]}; name another column"
            )
        taken[name] = key
    for name in data.where:
        if name not in names:
            faults.add_key("design.data.where", f"no column {name} in {table.path} (there are: {_listed(names)})")
    used = set(found.names.values()) | set(data.where)
    found.conditions = [name for name in names if plain(name) in CONDITIONS and name not in found.names.values()]
    found.unused = [name for name in names if name and name not in used]
    if "protein_id" not in found.at:
        found.invented.append("protein names (protein_000001, …)")
    if "split" not in found.at:
        found.invented.append("the split")
    return found


def _check_settings(columns: Columns, fasta: bool, faults: Faults) -> None:
    if fasta and columns.protein_id is None:
        faults.add_key(
            "design.data.columns.protein_id", "is null, but design.data.fasta is joined on it; name the column"
        )
    if not fasta and columns.sequence is None:
        faults.add_key(
            "design.data.columns.sequence", "is null and design.data.fasta is not set; name the column or the file"
        )


def _choose(
    key: str, table: Table, columns: Columns, fasta: bool, faults: Faults, key_of: Callable[[str], str]
) -> str | None:
    """The name of the column for one key of the config, if there is one."""
    name = getattr(columns, key)
    if name is None:
        return None
    names = table.columns
    declared = key in columns.model_fields_set
    if key == "sequence" and fasta:
        both = [name] if declared else likely(names, key)
        if set(both) & set(names):
            faults.add(
                "sequences stand here and in design.data.fasta; set design.data.columns.sequence to null, or remove "
                "design.data.fasta",
                column=both[0],
            )
        return None
    if declared:
        if name in names:
            return str(name)
        faults.add(_absent(key, str(name), names, key_of(key)))
        return None
    candidates = likely(names, key)
    if key == "tm":
        # `target` is FLIP's word for the label, and a common one for other things.
        flip = table.kind.startswith("FASTA") or {"set", "split"} & {plain(each) for each in names}
        candidates = [each for each in candidates if plain(each) != "target" or flip]
    if key == "sequence" and not likely(names, "mutation"):
        candidates = [each for each in candidates if plain(each) not in WILD_SEQUENCES]
    if key == "mutation" and _has_parts(table):
        return None
    if key in ("split", "mutation", "validation"):
        fits = {"split": _is_split, "mutation": _is_mutation, "validation": _is_flag}[key]
        exact = name if key != "validation" else None
        candidates = [each for each in candidates if each == exact or fits(_cells(table, each))]
    if len(candidates) > 1 and key in STRICT:
        shown = " and ".join(candidates)
        faults.add(f"columns {shown} may all be the {_WORDS[key]}; set design.data.columns.{key} to one of them")
    return candidates[0] if candidates else None


_WORDS = {"sequence": "sequence", "tm": "melting temperature", "split": "split"}


def _absent(key: str, name: str, names: list[str], setting: str = "") -> str:
    setting = setting or f"design.data.columns.{key}"
    alike = next((other for other in names if plain(other) == plain(name)), None)
    if alike is not None:
        return f"no column {name}, but {alike}; set {setting}: {alike}"
    near = [other for other in names if key == "tm" and re.search("tm|melt", plain(other))]
    if near and name == "tm":
        return (
            f"no column tm; {near[0]} may have another unit or be a difference: set design.data.columns.tm to °C values"
        )
    return f"no column {name} (there are: {_listed(names)}); set {setting}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def _has_parts(table: Table) -> bool:
    """FireProtDB has a mutation in three columns: position, wild type and the new residue, a letter each."""
    wild, new = likely(table.columns, "wild_type"), likely(table.columns, "mutation")
    if not (wild and new and likely(table.columns, "position")):
        return False
    return _is_letter(_cells(table, wild[0])) and _is_letter(_cells(table, new[0]))


def _choose_parts(table: Table, columns: Columns, found: Found) -> None:
    if "mutation" in found.at or columns.mutation is None or not _has_parts(table):
        return
    for key in ("mutation", "position", "wild_type"):
        name = likely(table.columns, key)[0]
        found.at[key], found.names[key] = table.columns.index(name), name
        found.recognised.append(key)


def _check_needed(table: Table, columns: Columns, fasta: bool, found: Found, faults: Faults) -> None:
    for key in ("protein_id", "tm") if fasta else ("sequence", "tm"):
        name = getattr(columns, key)
        if name is not None and key not in found.at and key not in columns.model_fields_set:
            faults.add(_absent(key, str(name), table.columns))


def _cells(table: Table, name: str) -> list[str]:
    """The cells of a column as text, without those that are missing."""
    at = table.columns.index(name)
    texts = ["" if cells[at] is None else str(cells[at]).strip() for _, cells in table.rows]
    return [text for text in texts if text]


def _share(cells: list[str], fits: Any) -> float:
    return sum(bool(fits(cell)) for cell in cells) / len(cells) if cells else 0.0


# Of the cells that must fit a meaning before a column that the config does not name gets it. For splits a few are
# enough: the other cells are then faults, where a split with typing errors would be ignored otherwise.
MOST, SOME = 0.9, 0.1


def _is_split(cells: list[str]) -> bool:
    return _share(cells, lambda cell: cell.lower() in SPLITS) >= SOME


def _is_flag(cells: list[str]) -> bool:
    return _share(cells, lambda cell: cell.lower() in FLAGS) >= SOME


def _is_letter(cells: list[str]) -> bool:
    return _share(cells, lambda cell: len(cell) == 1 and cell.isalpha() and cell.isupper()) >= MOST


def _is_mutation(cells: list[str]) -> bool:
    def fits(cell: str) -> bool:
        try:
            parse_mutations(cell)
        except MutationError:
            return False
        return True

    return _share(cells, fits) >= 0.5


FLAGS = {
    **dict.fromkeys(("true", "1", "1.0", "yes"), True),
    **dict.fromkeys(("false", "0", "0.0", "no", "nan", ""), False),
}
