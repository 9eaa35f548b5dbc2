"""From the table of an external test set to its proteins and a vault of its own.

| file | holds |
|---|---|
| `proteins.parquet` | sequences, families, and how near each protein is to those that candidates are trained on |
| `vault/labels.parquet` | the labels, opened by scripts/open_external_labels.py alone |
| `cleaning.parquet` | every cleaning step with its counts |
| `set.json` | what the set was made from; written last |
"""

from pathlib import Path

import numpy as np
import polars as pl

from tmelt.errors import InfrastructureError, InputError
from tmelt.evidence.schema import EXTERNAL_PROTEINS
from tmelt.proteins.audit import Subject, audit, stop_line
from tmelt.proteins.check import Checked, read_and_clean
from tmelt.proteins.cluster import cluster_homologues, find_homologues
from tmelt.storage.files import sha256_file, write_json
from tmelt.storage.records import to_json
from tmelt.storage.schema import CLEANING, LABELS, write_table
from tmelt.study.config import Data
from tmelt.study.external import RECORD, ExternalRecord

LEAST = 10  # proteins; the scores of fewer say nothing
TRAINED = ("fit", "stop")


def check_external(data: Data) -> Checked:
    """Read, clean and audit the table of an external set, and note every fault on the way.

    Args:
        data: the settings of the set (`ExternalSet.data`).

    Raises:
        InputError: the file is no table.
    """
    checked = read_and_clean(data)
    if not checked.reading.records:
        return checked
    faults = checked.faults
    if not faults.found and len(checked.proteins) < LEAST:
        faults.add(f"{len(checked.proteins)} proteins are left after cleaning; an external set needs at least {LEAST}")
    if checked.proteins:
        checked.audited = audit(Subject(checked.proteins, checked.reading, checked.cleaning, checked.data))
        for result in checked.audited:
            if result.level == "stop":
                faults.add(stop_line(result))
    return checked


def prepare_external(data: Data, made_from: str, study: pl.DataFrame, folder: Path) -> ExternalRecord:
    """Write an external set.

    Args:
        data: the settings of the set.
        made_from: hash of these and of its files.
        study: proteins.parquet of the study, for what is related to it.
        folder: results/{study}/external/{set}.

    Raises:
        InputError: the table or the settings do not make a set.
        InfrastructureError: the folder cannot be written.
    """
    checked = check_external(data)
    checked.faults.stop()
    proteins = checked.proteins
    kinship = relate([protein.sequence for protein in proteins], study)
    rows = [
        {
            "protein_id": protein.protein_id,
            "sequence": protein.sequence,
            "organism": protein.organism,
            "parent": protein.parent,
        }
        | kin
        for protein, kin in zip(proteins, kinship.iter_rows(named=True), strict=True)
    ]
    labels = [
        {"protein_id": row["protein_id"], "tm": protein.tm, "family": row["cluster"], "parent": protein.parent}
        for row, protein in zip(rows, proteins, strict=True)
    ]
    vault = folder / "vault" / "labels.parquet"
    try:
        (folder / RECORD).unlink(missing_ok=True)
        write_table(vault, labels, LABELS)
        write_table(folder / "proteins.parquet", rows, EXTERNAL_PROTEINS)
        write_table(folder / "cleaning.parquet", checked.cleaning.steps, CLEANING)
        count = len(checked.reading.records) + len(checked.reading.set_aside)
        record = ExternalRecord(data.source, made_from, len(rows), sha256_file(vault), count)
        write_json(folder / RECORD, to_json(record))
    except OSError as error:
        raise InfrastructureError(f"{folder}: cannot be written ({error.strerror or error})") from None
    return record


def relate(sequences: list[str], study: pl.DataFrame) -> pl.DataFrame:
    """How sequences are related to each other and to a study's proteins.

    Args:
        study: proteins.parquet.

    Returns:
        Columns `cluster`, `identity`, `homologous` and `in_study` of tmelt.evidence.schema.EXTERNAL_PROTEINS, in the
        order of the sequences.
    """
    count = len(sequences)
    pairs = find_homologues([*sequences, *study["sequence"].to_list()])
    family = cluster_homologues(count + len(study), pairs)
    trained = np.concatenate([np.zeros(count, bool), study["split"].is_in(TRAINED).to_numpy()])
    identity = np.zeros(count)
    for one, other in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
        near = (one < count) & trained[other]
        np.maximum.at(identity, one[near], pairs.identity[near])
    split_of = dict(zip(study["sequence"], study["split"], strict=True))
    in_study = [split_of.get(sequence) for sequence in sequences]
    same = np.array([split in TRAINED for split in in_study])  # repeats of few letters have no significant segment
    return pl.DataFrame(
        {
            "cluster": [f"family{number}" for number in family[:count]],
            "identity": np.where(same, 1.0, identity),
            "homologous": np.isin(family[:count], family[trained]) | same,
            "in_study": pl.Series(in_study, dtype=pl.String),
        }
    )


def refuse_bad_sets(sets: dict[str, Data]) -> list[str]:
    """Read every set's table before work starts; a line for each that says what it holds.

    Raises:
        InputError: the first fault of each bad table, a line each.
    """
    lines, faults = [], []
    for name, data in sets.items():
        checked = check_external(data)
        if found := checked.faults.found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            faults.append(f"design.external.{name}: {found[0].line()}{more}")
            continue
        lines.append(f"{data.source}: external set {name}, {len(checked.proteins)} proteins")
    if faults:
        raise InputError("\n".join(faults))
    return lines
