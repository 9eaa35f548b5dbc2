"""Groups of any name: their settings, and what is cleaned, audited and told of a table with them."""

import json

import pytest
from other_target import HOSTS, words_of_organisms
from proteins_tables import data, rows, write

from tmelt.errors import InputError
from tmelt.proteins.check import check_table, data_block, describe, write_cleaned
from tmelt.proteins.prepare import prepare
from tmelt.proteins.record import read_data
from tmelt.storage.records import from_json, to_json
from tmelt.storage.schema import CLEANING, CLEANING_ROWS, PROTEINS, read_table
from tmelt.study.config import parse_config
from tmelt.study.group import ORGANISMS, Group
from tmelt.study.identity import dataset_id, design_of
from tmelt.study.protocol_record import StudyDesign

SETTINGS = {"column": "host", "name": "host"}


def by_host(count=60):
    """A table whose hosts have names that would be one organism's."""
    table = [row | {"host": ("batch 1", "batch 2", "Batch 1")[number % 3]} for number, row in enumerate(rows(count))]
    for row in table:
        row.pop("organism")
    return table


def test_words():
    assert (ORGANISMS.one, ORGANISMS.others) == ("an organism", "other organisms")
    assert (HOSTS.one, HOSTS.others, Group("family", "families").others) == ("a host", "other hosts", "other families")


def test_the_column_of_groups_is_named_once():
    found = data("t.csv", group=SETTINGS)
    assert found.columns.organism == "host" and found.groups == HOSTS
    assert type(found).model_validate(found.model_dump(mode="json")) == found
    with pytest.raises(ValueError, match=r"columns.organism: 'other', but group.column is 'host'"):
        data("t.csv", group=SETTINGS, columns={"organism": "other"})
    with pytest.raises(ValueError, match="the synthetic source makes organisms"):
        data(group=SETTINGS)


def test_groups_with_other_names_are_other_groups(tmp_path):
    prepare(data(write(tmp_path, by_host()), group=SETTINGS), tmp_path / "out")
    assert set(read_table(tmp_path / "out" / "proteins.parquet", PROTEINS)["organism"]) == {
        "batch 1", "batch 2", "Batch 1",
    }  # fmt: skip
    told = read_data(tmp_path / "out").description
    frames = [
        read_table(tmp_path / "out" / f"{name}.parquet", schema).to_dicts()
        for name, schema in (("cleaning", CLEANING), ("cleaning_rows", CLEANING_ROWS))
    ]
    assert "of 3 hosts, " in told and not words_of_organisms(json.dumps([told, frames]))


def test_a_study_may_have_no_groups(tmp_path):
    settings = data(write(tmp_path, rows(60)), group=None)
    prepare(settings, tmp_path / "out")
    assert settings.groups == Group("group", "groups")
    assert read_table(tmp_path / "out" / "proteins.parquet", PROTEINS)["organism"].null_count() == 60
    assert read_data(tmp_path / "out").description.startswith("60 proteins, ")


def test_the_check_of_a_table_speaks_of_the_groups(tmp_path):
    checked = check_table(data(write(tmp_path, by_host()), group=SETTINGS))
    text = "\n".join(describe(checked)[3:])
    assert "3 hosts" in text and not words_of_organisms(text)
    assert "organism:" not in data_block(checked.data, checked.reading)
    write_cleaned(checked, tmp_path / "clean.csv")
    assert (tmp_path / "clean.csv").read_text().startswith("protein_id,sequence,tm,host")


def test_a_missing_column_names_the_groups_key(tmp_path):
    with pytest.raises(InputError, match=r"no column host .*; set design.data.group.column"):
        prepare(data(write(tmp_path, rows(60)), group=SETTINGS), tmp_path / "out")


def test_a_study_of_organisms_records_no_group(tmp_path):
    path = str(write(tmp_path, by_host()))
    raw = {"study": "s", "extent": {"strategies": {"bo": {"kind": "bo"}}}}
    design = design_of(parse_config(raw | {"design": {"data": {"name": "m", "source": path, "group": SETTINGS}}}))
    assert from_json(StudyDesign, design).group == HOSTS
    design.pop("group")
    assert "group" not in to_json(from_json(StudyDesign, design))
    assert dataset_id(data(path)) == dataset_id(data(path, group={"name": "organism"}))
