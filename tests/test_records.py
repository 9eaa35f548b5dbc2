"""Records come back from JSON as they went, and a file that does not fit is refused in one line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from study_records import data_record, design, embedding_record, hypothesis, protocol, revision

from tmelt.embed.record import read_embedding
from tmelt.errors import InputError
from tmelt.proteins.record import read_data
from tmelt.storage.files import read_json, sha256_json, write_json
from tmelt.storage.records import RecordError, from_json, to_json
from tmelt.study.protocol_record import Protocol, protocol_hash, read_protocol

REVISED = protocol(
    hypothesis=hypothesis(looks=[5, 10]),
    revisions=(revision("budget.fit_s: 30 -> 60", openings=2), revision("a: 1 -> 2", hypothesis=hypothesis())),
    design=design(baseline={"planted": 3, "seed": 7}, sandbox_image="image.sif", code={"packed.py": "c" * 64}),
    data=data_record(columns=["tm from 'Tm (°C)'"], synthetic=False),
)


@pytest.mark.parametrize("fixed", [protocol(), REVISED], ids=["fresh", "revised"])
def test_a_protocol_comes_back_as_it_was_written(tmp_path, fixed):
    fixed.write(tmp_path / "protocol.json")
    before = (tmp_path / "protocol.json").read_bytes()
    read = read_protocol(tmp_path / "protocol.json")
    assert read == fixed
    read.write(tmp_path / "protocol.json")
    assert (tmp_path / "protocol.json").read_bytes() == before


def test_the_hash_is_of_the_json_and_tells_a_whole_number_from_a_float():
    """Journals of studies name their runs by it."""
    fixed = replace(REVISED, design=design(budget={"fit_s": 30, "predict_s": 10.0}))
    stored = json.loads(json.dumps(to_json(fixed)))
    expected = sha256_json([stored["design"], stored["measured"], stored["hypothesis"]])
    read = from_json(Protocol, stored)
    assert protocol_hash(read.design, read.measured, read.hypothesis) == expected
    other = replace(read.design, budget={"fit_s": 30.0, "predict_s": 10.0})
    assert protocol_hash(other, read.measured, read.hypothesis) != expected


def test_versions_are_in_order():
    assert [version.sha256[0] for version in REVISED.versions] == ["4", "4", "5"]
    assert [version.hypothesis for version in REVISED.versions] == [None, hypothesis(), hypothesis(looks=[5, 10])]


def edited(fields: dict, key: str, value) -> dict:
    """The JSON with another value at a key such as `design.threads`, or without it where the value is `...`."""
    *above, last = key.split(".")
    place = fields
    for name in above:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return fields


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("study", ..., r"study: missing"),
        ("design.threads", ..., r"design\.threads: missing"),
        ("wishes", 1, r"wishes: unknown key"),
        ("measured.embedding.colour", "red", r"measured\.embedding\.colour: unknown key"),
        ("design.threads", "1", r"design\.threads: expected a whole number, got '1'"),
        ("design.threads", True, r"design\.threads: expected a whole number, got True"),
        ("design.budget.fit_s", None, r"design\.budget\.fit_s: expected a number, got None"),
        ("data.synthetic", 1, r"data\.synthetic: expected true or false, got 1"),
        ("data.splits", [], r"data\.splits: expected an object, got \[\]"),
        ("hypothesis", {"a": "ua"}, r"hypothesis\.b: missing"),
        ("hypothesis", 3, r"hypothesis: expected an object, got 3"),
        ("design.sandbox_image", 3, r"design\.sandbox_image: expected text, got 3"),
        ("revisions", [{"at": "now"}], r"revisions\[0\]\.changes: missing"),
        ("revisions", None, r"revisions: expected a list, got None"),
        ("design.knobs", [{"name": "depth"}], r"design\.knobs: depth: .*"),
    ],
)
def test_a_protocol_that_does_not_fit_is_refused_in_one_line(tmp_path, key, value, message):
    path = tmp_path / "protocol.json"
    write_json(path, edited(to_json(protocol()), key, value))
    line = rf"^\S*protocol\.json: {message}; restore the file, or give the study a new name and run it again$"
    with pytest.raises(InputError, match=line) as caught:
        read_protocol(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_object_is_refused(tmp_path):
    write_json(tmp_path / "protocol.json", [1])
    with pytest.raises(InputError, match=r"protocol\.json: the file: expected an object, got \[1\]; restore"):
        read_protocol(tmp_path / "protocol.json")


@pytest.mark.parametrize(
    ("record", "read", "name"),
    [(embedding_record(), read_embedding, "embedding.json"), (data_record(), read_data, "data.json")],
    ids=["embedding", "data"],
)
def test_the_records_of_folders_come_back_and_say_what_to_delete(tmp_path, record, read, name):
    write_json(tmp_path / name, to_json(record))
    assert read(tmp_path) == record
    write_json(tmp_path / name, read_json(tmp_path / name) | {"width_of": 3})
    with pytest.raises(InputError, match=rf"{name}: width_of: unknown key; delete {tmp_path} and run again"):
        read(tmp_path)


def test_a_field_with_its_default_is_not_written():
    assert "columns" not in to_json(data_record()) and to_json(data_record(columns=[]))["columns"] == []


@dataclass(frozen=True)
class Part:
    value: int | str | None
    table: Mapping[str, tuple[float, ...]]


def test_a_number_stays_what_it_was():
    stored = {"value": "x", "table": {"a": [1, 2.5]}}
    part = from_json(Part, stored)
    assert part == Part("x", {"a": (1, 2.5)}) and json.dumps(to_json(part)) == json.dumps(stored)
    with pytest.raises(RecordError, match=r"table\.a\[1\]: expected a number, got 'b'"):
        from_json(Part, {"value": None, "table": {"a": [1, "b"]}})
