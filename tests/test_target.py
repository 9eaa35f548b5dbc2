"""A target of any name: its words, its settings, and what is read, cleaned and told of a table with it."""

import dataclasses
import json

import pytest
import yaml
from other_target import SETTINGS, SOLUBILITY, words_of_tm
from proteins_tables import data, rows, write

from tmelt.bundle.card import target_of, write_card
from tmelt.bundle.predict import predicted_column, predicted_schema
from tmelt.errors import InputError
from tmelt.evidence.design_power import assumed_noise, statements
from tmelt.evidence.subgroups import label_edges
from tmelt.proteins.check import check_table, data_block, describe, write_cleaned
from tmelt.proteins.label import LabelError, parse_label
from tmelt.proteins.prepare import prepare
from tmelt.proteins.record import read_data
from tmelt.storage.records import from_json, to_json
from tmelt.storage.schema import CLEANING, CLEANING_ROWS, read_table
from tmelt.study.config import Data, parse_config
from tmelt.study.identity import dataset_id, design_of
from tmelt.study.protocol import REFERENCE
from tmelt.study.protocol_record import StudyDesign
from tmelt.study.target import TM, Target


def solubilities(count=60):
    """A sound table; its labels have few problems of each kind that cleaning tells of."""
    table = [row | {"soluble": f"{(37 * number) % 97} %"} for number, row in enumerate(rows(count))]
    for row in table:
        row.pop("tm")
    table[3]["soluble"], table[5]["soluble"], table[7]["soluble"] = "55-57", "> 95", "140"
    return table


def study_of(path):
    raw = {"name": "mine", "source": str(path), "target": SETTINGS}
    return parse_config({"study": "s", "design": {"data": raw}, "extent": {"strategies": {"bo": {"kind": "bo"}}}})


def test_words():
    assert (TM.described, TM.key, TM.plural) == ("melting temperature (Tm, °C)", "tm", "melting temperatures")
    assert (SOLUBILITY.described, SOLUBILITY.key) == ("solubility (%)", "solubility")
    bare = Target("log kcat", "log kcat", "", None, (-6.0, 8.0))
    assert bare.amount("0.5") == "0.5" and bare.axis("MAE") == bare.head("MAE") == "MAE" and bare.in_unit == ""
    assert (bare.described, bare.key) == ("log kcat", "log_kcat")
    assert predicted_column(Target("length", "length", "nm", None, (0, 100))) == "predicted_length"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"plausible": [5, 5]}, "plausible: 5 is not below 5"),
        ({"plausible": [0, 1]}, "range of 1; expected 10 to 250, because scores have hundredths: use another unit"),
        ({"plausible": [0, 5000]}, "range of 5000; expected 10 to 250"),
        ({"name": "a | b"}, "target.name."),
        ({"unit": "<b>"}, "target.unit."),
        ({"sense": "up"}, "target.sense."),
    ],
)
def test_settings_that_make_no_target(change, what):
    with pytest.raises(ValueError) as caught:
        data("t.csv", target=SETTINGS | change)
    assert what in str(caught.value).replace("\n", ".")


def test_limits_are_in_proportion_to_the_plausible_range():
    found = data("t.csv", target=SETTINGS | {"plausible": [0, 55]}, audit={"spread_stop": 0.1})
    assert found.audit.noise_sd == 2.15 and found.audit.spread_stop == 0.1 and found.labels.range_max == 2.5
    assert type(found).model_validate(found.model_dump(mode="json")) == found
    assert data("t.csv", target={"plausible": [0, 55]}).audit.noise_sd == 4.3


@pytest.mark.parametrize("key", ["column", "unit", "plausible"])
def test_another_property_needs_its_column_unit_and_range(key):
    with pytest.raises(ValueError, match=f"{key}: needed for another property"):
        data("t.csv", target={name: value for name, value in SETTINGS.items() if name != key})


def test_the_column_of_labels_is_named_once():
    found = data("t.csv", target=SETTINGS)
    assert found.columns.tm == "soluble" and found.column_key("tm") == "design.data.target.column"
    assert type(found).model_validate(found.model_dump(mode="json")) == found
    with pytest.raises(ValueError, match=r"columns.tm: 'other', but target.column is 'soluble'"):
        data("t.csv", target=SETTINGS, columns={"tm": "other"})


def test_synthetic_proteins_have_melting_temperatures():
    with pytest.raises(ValueError, match="the synthetic source makes melting temperatures"):
        data(target=SETTINGS)


def test_a_study_of_melting_temperatures_records_no_target(tmp_path):
    path = write(tmp_path, rows(60))
    plain, named = (data(path, **more) for more in ({}, {"target": {"name": "melting temperature", "unit": "°C"}}))
    assert dataset_id(plain) == dataset_id(named)
    design = design_of(study_of(write(tmp_path, solubilities())))
    assert from_json(StudyDesign, design).target == SOLUBILITY
    assert next(row for row in design["knobs"] if row["name"] == "huber_delta")["unit"] == "%"
    design.pop("target")
    assert from_json(StudyDesign, design).target == TM and "target" not in to_json(from_json(StudyDesign, design))


@pytest.mark.parametrize("cell", ["45 %", "45%", "45", "4.5e1"])
def test_the_unit_may_stand_behind_a_label(cell):
    assert parse_label(cell, unit="%").value == 45
    assert parse_label("40 %-50 %", unit="%").width == 10


@pytest.mark.parametrize("cell", ["45 °C", "45 K"])
def test_another_unit_is_a_fault(cell):
    with pytest.raises(LabelError, match="is not a number; write the value in % alone"):
        parse_label(cell, unit="%")


def test_a_table_is_read_cleaned_and_described_in_the_targets_words(tmp_path):
    settings = data(write(tmp_path, solubilities()), target=SETTINGS)
    prepare(settings, tmp_path / "out")
    steps = read_table(tmp_path / "out" / "cleaning.parquet", CLEANING)
    touched = read_table(tmp_path / "out" / "cleaning_rows.parquet", CLEANING_ROWS)
    counts = {row["what"]: row["rows"] for row in steps.iter_rows(named=True)}
    assert counts["solubility outside 0 to 100 %"] == counts["solubility as a range"] == 1
    assert counts["solubility as a bound"] == 1
    told = read_data(tmp_path / "out").description
    assert "values of solubility in fit" in told and told.count("%") == 2
    assert not words_of_tm(json.dumps([steps.to_dicts(), touched.to_dicts(), told], ensure_ascii=False))


def test_the_check_of_a_table_speaks_of_the_target(tmp_path):
    checked = check_table(data(write(tmp_path, solubilities()), target=SETTINGS))
    block = data_block(checked.data, checked.reading)
    text = "\n".join([*describe(checked), block])
    assert "values of solubility 0.0 to 9" in text and "target:" in text and not words_of_tm(text)
    assert Data.model_validate(yaml.safe_load(block)["data"]).target == checked.data.target
    write_cleaned(checked, tmp_path / "clean.csv")
    assert len(check_table(data(tmp_path / "clean.csv", target=SETTINGS)).proteins) == len(checked.proteins)


def test_a_missing_column_names_the_targets_key(tmp_path):
    with pytest.raises(InputError, match=r"no column soluble .*; set design.data.target.column"):
        prepare(data(write(tmp_path, rows(60)), target=SETTINGS), tmp_path / "out")


def test_power_is_told_in_the_unit(tmp_path):
    config = study_of(write(tmp_path, solubilities()))
    text = "\n".join(statements(config, assumed_noise(config)))
    assert "strategy 0.27 % (--sd)" in text and not words_of_tm(text)


def test_bundles_and_cards_speak_of_the_target(about):
    about = about | {"target": dataclasses.asdict(SOLUBILITY), "labels": []}
    card = write_card(json.loads(json.dumps(about)))
    assert "Predicts the solubility (%) of a protein from its sequence (a higher value: more soluble)" in card
    assert "mean absolute error, %" in card and not words_of_tm(card.replace("Thermus thermophilus", ""))
    assert target_of(json.loads(json.dumps(about))) == SOLUBILITY and target_of({}) == TM
    assert predicted_schema(SOLUBILITY).names[2] == "solubility" and predicted_schema(TM).names[2] == "tm"
    meanings = [field.metadata[b"meaning"].decode() for field in predicted_schema(SOLUBILITY)]
    assert not words_of_tm("\n".join(meanings))


@pytest.fixture
def about():
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parent / "bundle"))
    from example import ABOUT

    return ABOUT


def test_what_agents_read_of_the_code_names_no_target():
    contract = REFERENCE.with_name("CONTRACT.md").read_text(encoding="utf-8")
    assert not words_of_tm(REFERENCE.read_text(encoding="utf-8")) and not words_of_tm(contract)


def test_bands_of_labels_span_the_plausible_range():
    assert label_edges(TM) == (40, 50, 60, 70)
    assert label_edges(SOLUBILITY) == (20, 40, 60, 80)
