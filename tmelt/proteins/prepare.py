"""From the config's `data` part to the files of a data set: proteins, vault, what was cleaned, what was split.

| file | holds |
|---|---|
| `proteins.parquet` | sequences and splits; labels of fit and stop only |
| `vault/{val,select,test}.parquet` | the labels that no candidate sees, and families |
| `cleaning.parquet`, `cleaning_rows.parquet` | every cleaning step with its counts; every row it touched |
| `audit.parquet` | the label audit, a row for each check; none for synthetic proteins |
| `data.json` | source, counts, split, generator; written last, so where it is, the data set is complete |
"""

from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tmelt.errors import InfrastructureError, InputError, first_complaint
from tmelt.proteins.audit import Audited, Subject, audit, stop_line
from tmelt.proteins.clean import Protein, clean_records
from tmelt.proteins.columns import Found, with_names
from tmelt.proteins.faults import Faults
from tmelt.proteins.read import Reading, read_all
from tmelt.proteins.record import DataRecord
from tmelt.proteins.shuffle import shuffled_within
from tmelt.proteins.split import split_proteins, take_subset
from tmelt.proteins.synthesize import Made, floors, synthesize
from tmelt.proteins.table import Table
from tmelt.storage.files import read_json, sha256_file, write_json
from tmelt.storage.records import to_json
from tmelt.storage.schema import AUDIT, CLEANING, CLEANING_ROWS, HIDDEN, LABELS, PROTEINS, write_table
from tmelt.study.config import Data

OPEN = ("fit", "stop")  # splits whose labels a candidate may see


def read_data_config(path: Path) -> Data:
    """The config's `data` part from a JSON file.

    Raises:
        InputError: not JSON, or an offending key.
    """
    return parse_data_config(read_json(path), str(path))


def parse_data_config(raw: Any, source: str) -> Data:
    """The validated `data` part.

    Raises:
        InputError: one line with `source` and the first offending key.
    """
    try:
        return Data.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{source}: {first_complaint(error)}") from None


def prepare(data: Data, folder: Path) -> DataRecord:
    """Read or make the proteins, clean and split them, and write the data set.

    Returns:
        What data.json holds.

    Raises:
        InputError: the table or the settings do not make a data set.
        InfrastructureError: the folder cannot be written.
    """
    made = synthesize(data.synthetic) if data.source == "synthetic" else None
    if made is None:
        reading, faults = read_all(data)
        if not reading.records:
            faults.stop()
        data = with_names(data, reading.found)
    else:
        table = Table(Path("synthetic"), [], [], "row")
        reading, faults = Reading(made.records, table, Found()), Faults(table.path, table.unit)
    proteins, cleaning = clean_records(
        reading.records, reading.table, data, set_aside=reading.set_aside, repairs=reading.repairs, faults=faults
    )
    faults.stop()
    found = len(proteins)
    proteins = take_subset(proteins, data)
    if data.subset is not None:
        cleaning.add(f"subset of {data.subset}", "the others left out at random", found - len(proteins), len(proteins))
    try:
        labels, split, families = split_proteins(proteins, data)
    except InputError as error:
        if made is None:  # what is wrong with the labels explains more than a split that fails for it
            _audit(Subject(proteins, reading, cleaning, data), faults)
        faults.add_error(error)
        faults.stop()
        raise
    given = split["method"] == "given"
    audited = [] if made else _audit(Subject(proteins, reading, cleaning, data, labels, families, given), faults)
    faults.stop()
    if data.shuffle_labels:
        proteins = shuffled_within(proteins, labels, data.split_seed)
        cleaning.add("shuffled labels", "impossible study: tm changed places within each split", 0, len(proteins))
    sealed = [protein for protein, label in zip(proteins, labels, strict=True) if label not in OPEN]
    cleaning.hide_labels((p.protein_id for p in sealed), (row for p in sealed for row in p.rows))
    record = DataRecord(
        name=data.name,
        description=_description(proteins, labels, data),
        **_source(data),
        rows=len(reading.records) + len(reading.set_aside),
        proteins=len(proteins),
        residues=sum(len(protein.sequence) for protein in proteins),
        longest=max(len(protein.sequence) for protein in proteins),
        splits=split.pop("counts"),
        organisms=_organisms(proteins, labels),
        split=split,
        shuffled_labels=data.shuffle_labels,
        columns=None if made is not None else reading.found.notes(),
        generator=None if made is None else _generator(made, data, proteins, labels),
    )
    try:
        (folder / "data.json").unlink(missing_ok=True)
        for part in HIDDEN:
            rows = [
                {"protein_id": protein.protein_id, "tm": protein.tm, "family": family, "parent": protein.parent}
                for protein, label, family in zip(proteins, labels, families, strict=True)
                if label == part
            ]
            write_table(folder / "vault" / f"{part}.parquet", rows, LABELS)
        write_table(folder / "proteins.parquet", _rows(proteins, labels), PROTEINS)
        write_table(folder / "cleaning.parquet", cleaning.steps, CLEANING)
        write_table(folder / "cleaning_rows.parquet", cleaning.rows, CLEANING_ROWS)
        write_table(folder / "audit.parquet", [result.row() for result in audited], AUDIT)
        write_json(folder / "data.json", to_json(record))
    except OSError as error:
        raise InfrastructureError(f"{folder}: cannot be written ({error.strerror or error})") from None
    return record


def _audit(subject: Subject, faults: Faults) -> list[Audited]:
    """The label audit; what stops is added to `faults`."""
    results = audit(subject)
    for result in results:
        if result.level == "stop":
            faults.add(stop_line(result))
    return results


def _rows(proteins: list[Protein], labels: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "protein_id": protein.protein_id,
            "sequence": protein.sequence,
            "organism": protein.organism,
            "split": label,
            "tm": protein.tm if label in OPEN else None,
        }
        for protein, label in zip(proteins, labels, strict=True)
    ]


def _description(proteins: list[Protein], labels: list[str], data: Data) -> str:
    """One line for people and prompts; of labels it tells those of fit alone."""
    tms = sorted(protein.tm for protein, label in zip(proteins, labels, strict=True) if label == "fit")
    lengths = [len(protein.sequence) for protein in proteins]
    organisms = len({protein.organism for protein in proteins} - {None})
    target = data.target.record
    of = "" if data.group is None else f" of {organisms or 'unknown'} {data.groups.plural}"
    kind = (
        "synthetic proteins (made by the project's generator, not measured)"
        if data.source == "synthetic"
        else "proteins"
    )
    return (
        f"{len(proteins)} {kind}{of}, {min(lengths)} to {max(lengths)} residues; "
        f"{target.plural} in fit {target.amount(f'{tms[0]:.1f} to {tms[-1]:.1f}')}, "
        f"median {target.amount(f'{tms[len(tms) // 2]:.1f}')}"
    )


def _source(data: Data) -> dict[str, Any]:
    """Where the proteins come from, with the hash of every file."""
    if data.source == "synthetic":
        return {"source": "synthetic", "synthetic": True, "files": {}}
    files = [data.source, *([data.fasta] if data.fasta else [])]
    return {"source": data.source, "synthetic": False, "files": {path: sha256_file(path) for path in files}}


def _organisms(proteins: list[Protein], labels: list[str]) -> dict[str, dict[str, int]]:
    """Proteins per organism and split; proteins without an organism are not counted."""
    counts: dict[str, Counter[str]] = {}
    for protein, label in zip(proteins, labels, strict=True):
        if protein.organism is not None:
            counts.setdefault(protein.organism, Counter())[label] += 1
    return {name: dict(count) for name, count in sorted(counts.items())}


def _generator(made: Made, data: Data, proteins: list[Protein], labels: list[str]) -> dict[str, Any]:
    """What the generator was asked for, made, and knows to be reachable."""
    return {
        "settings": data.synthetic.model_dump(),
        "organisms": {
            organism.name: {
                "tm": round(organism.tm, 2),
                "tm_sd": round(organism.tm_sd, 2),
                "noise_sd": round(organism.noise_sd, 2),
            }
            for organism in made.organisms
        },
        "floors": {} if data.shuffle_labels else floors(made.truth, proteins, labels),
    }
