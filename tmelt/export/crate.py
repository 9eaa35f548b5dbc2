"""RO-Crate metadata of a study's results: one JSON-LD file that says what each file of the folder is.

Follows RO-Crate 1.1 (https://www.researchobject.org/ro-crate/specification/1.1/). The crate is the study's folder: its
report, tables, exports, model bundle and protocol. Raw files of trials are also in the folder, but are not listed; the
proteins and their labels are outside, under results/data.
"""

import mimetypes
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tmelt import __version__
from tmelt.storage.files import sha256_file, write_json
from tmelt.study.protocol_record import Protocol

METADATA = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
_FORMATS = {".parquet": "application/vnd.apache.parquet", ".db": "application/vnd.sqlite3", ".md": "text/markdown"}
_NAMES = {
    "report/report.html": "Report",
    "export/optuna.db": "Optuna storage: one Optuna study per search and per strategy",
    "bundle/model_card.md": "Model card of the winner",
    "protocol.json": "Protocol: what makes the scores comparable",
}

Entity = dict[str, Any]


def write_crate(protocol: Protocol, files: Iterable[Path], study: Path, cautions: Sequence[str] = ()) -> None:
    """Write ro-crate-metadata.json into the folder `study`.

    Args:
        protocol: of the study.
        files: of the results, inside the folder.
        study: results/{study}.
        cautions: what must be said of the results before anything else.
    """
    parts = [_file(path, study) for path in sorted(set(files))]
    graph = [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": SPECIFICATION},
        },
        _root(protocol, parts, cautions),
        _licence(),
        _software(),
        _run(protocol, parts),
        *parts,
    ]
    write_json(study / METADATA, {"@context": f"{SPECIFICATION}/context", "@graph": graph})


def _root(protocol: Protocol, parts: Sequence[Entity], cautions: Sequence[str]) -> Entity:
    """The study. Its date is that of its protocol: when the results are published is not known here."""
    described = (
        f"Results of a comparison of search strategies by tmelt on {protocol.data.description}: report, tables,"
        " searches and the winning model. The proteins and their labels are not part of it."
    )
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": protocol.title or protocol.study,
        "description": " ".join([described, *cautions]),
        "identifier": protocol.sha256,
        "datePublished": protocol.created[:10],
        "license": {"@id": "#licence"},
        "mentions": {"@id": "#run"},
        "hasPart": [{"@id": part["@id"]} for part in parts],
    }


def _licence() -> Entity:
    return {
        "@id": "#licence",
        "@type": "CreativeWork",
        "name": "No licence recorded",
        "description": "The study records no licence, neither for its results nor for its data. Settle it before you"
        " publish, and name it here.",
    }


def _software() -> Entity:
    return {"@id": "#tmelt", "@type": "SoftwareApplication", "name": "tmelt", "softwareVersion": __version__}


def _run(protocol: Protocol, parts: Sequence[Entity]) -> Entity:
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Study {protocol.study}",
        "startTime": protocol.created,
        "instrument": {"@id": "#tmelt"},
        "result": [{"@id": part["@id"]} for part in parts],
    }


def _file(path: Path, study: Path) -> Entity:
    name = path.relative_to(study).as_posix()
    kind = _FORMATS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return {
        "@id": name,
        "@type": "File",
        "name": _NAMES.get(name) or _name(path),
        "encodingFormat": kind,
        "contentSize": str(path.stat().st_size),
        "sha256": sha256_file(path),
    }


def _name(path: Path) -> str:
    """What a file is, by where it is."""
    if path.suffix == ".zip":
        return "Model bundle: the winning model, for `tmelt predict`"
    return f"Table {path.stem}" + (" as CSV" if path.suffix == ".csv" else "")
