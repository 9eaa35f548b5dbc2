"""RO-Crate metadata: what the specification requires is there, and a library of its authors reads it."""

import hashlib
import importlib.util
import json

from needs import need
from study_records import protocol

from tmelt.export.crate import METADATA, SPECIFICATION, write_crate

FILES = ("report/report.html", "tables/trials.parquet", "export/trials.csv", "export/optuna.db", "bundle/mine.zip")


def crate(folder):
    """A study's folder with its metadata; returns the entities by their id."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    write_crate(protocol(), [folder / name for name in FILES], folder, ["SYNTHETIC DATA"])
    whole = json.loads((folder / METADATA).read_text())
    assert whole["@context"] == f"{SPECIFICATION}/context"
    entities = {entity["@id"]: entity for entity in whole["@graph"]}
    assert len(entities) == len(whole["@graph"])
    return entities


def references(value):
    """Every @id that an entity points at."""
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        else:
            for inner in value.values():
                yield from references(inner)
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_what_the_specification_requires_is_there(tmp_path):
    entities = crate(tmp_path)
    assert entities[METADATA] == {
        "@id": METADATA, "@type": "CreativeWork", "about": {"@id": "./"}, "conformsTo": {"@id": SPECIFICATION},
    }  # fmt: skip
    root = entities["./"]
    assert root["@type"] == "Dataset" and root["datePublished"] == "2026-01-01"
    assert root["name"] == "Small study" and "SYNTHETIC DATA" in root["description"] and root["license"]
    assert sorted(references(root["hasPart"])) == sorted(FILES)
    pointed = {target for entity in entities.values() for target in references(entity)}
    assert pointed - {SPECIFICATION} <= entities.keys()


def test_each_file_has_kind_size_and_hash(tmp_path):
    entities = crate(tmp_path)
    for name in FILES:
        content = (tmp_path / name).read_bytes()
        found = entities[name]
        assert found["@type"] == "File" and found["name"] and "/" in found["encodingFormat"]
        assert found["contentSize"] == str(len(content))
        assert found["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_authors_library_reads_it(tmp_path):
    need(importlib.util.find_spec("rocrate"), "rocrate is not installed: make test")
    from rocrate.rocrate import ROCrate

    crate(tmp_path)
    read = ROCrate(tmp_path)
    assert read.name == "Small study" and {entity.id for entity in read.data_entities} == set(FILES)
    assert read.dereference("#run")["instrument"].id == "#tmelt"
