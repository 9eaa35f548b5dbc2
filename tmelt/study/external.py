"""External test sets of a study: where each lies, and what it was made from.

They move no score of a search, so they are no part of the study's identity: a set may be added at any time. A set that
was prepared keeps its table and its settings, because its labels may have been opened.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tmelt.errors import InputError
from tmelt.storage.files import sha256_file, sha256_json
from tmelt.storage.records import read_record

if TYPE_CHECKING:  # pydantic: a tenth of a second that scoring a trial does not need
    from tmelt.study.config import Config

FOLDER = "external"  # of a study
RECORD = "set.json"


@dataclass(frozen=True)
class ExternalRecord:
    """set.json: what a set was made from.

    Attributes:
        source: path of the table.
        made_from: hash of settings and files (`identity_of`).
        proteins: number of proteins.
        labels: SHA-256 of the vault's file.
        rows: of the table.
    """

    source: str
    made_from: str
    proteins: int
    labels: str
    rows: int


def read_external(folder: Path) -> ExternalRecord:
    """Read set.json of an external set's folder.

    Raises:
        InputError: the file is missing or does not fit.
    """
    return read_record(ExternalRecord, folder / RECORD, f"delete {folder} and run again")


def identity_of(config: "Config", name: str) -> str:
    """Hash of the settings and files that shape an external set.

    Raises:
        InputError: a file that is missing, or whose name Snakemake cannot handle.
    """
    external = config.design.external[name]
    described: dict[str, Any] = external.data(name, config.design.data).model_dump(mode="json", exclude={"name"})
    for key in ("source", "fasta", "embeddings"):
        path = getattr(external, key)
        if path is None:
            continue
        where = f"config: design.external.{name}: {path}"
        if not Path(path).exists() or (key != "embeddings" and not Path(path).is_file()):
            raise InputError(f"{where}: no such file; correct the path")
        if "{" in path or "}" in path:
            raise InputError(f"{where}: a name with braces is a wildcard here; rename the file")
        if key == "embeddings":
            continue  # compared by Snakemake: they move predictions, not proteins
        try:
            described[key] = sha256_file(path)
        except OSError as error:
            raise InputError(f"{where}: cannot be read ({error.strerror})") from None
    return sha256_json(described)


def changes(config: "Config", study: Path) -> Iterator[str]:
    """What differs between the config's external sets and those that a study has prepared, a line each.

    Raises:
        InputError: a file that is missing.
    """
    for name in config.design.external:
        made_from, record = identity_of(config, name), study / FOLDER / name / RECORD
        if record.exists() and read_external(record.parent).made_from != made_from:
            yield f"design.external.{name}: its table or settings changed; give the changed set another name"
    for record in sorted(study.glob(f"{FOLDER}/*/{RECORD}")):
        if record.parent.name not in config.design.external:
            yield f"design.external.{record.parent.name}: removed; a set that was prepared stays on the page"
