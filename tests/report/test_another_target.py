"""The page of a study of another property speaks of it, in its unit, and never of melting temperatures."""

from dataclasses import asdict

import pytest
from other_target import SOLUBILITY, words_of_tm
from shared_study import shared_study
from small_studies import copy_study, edit_facts, edit_json

from tmelt.evidence.make.subgroups import make
from tmelt.files import read_json
from tmelt.knobs import Space, knobs_from_table
from tmelt.report.figures.winners import square_side
from tmelt.schema import read_table
from tmelt.target import TM

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The shared study, as if its labels were solubilities."""
    made = copy_study(shared_study(tmp_path_factory), tmp_path_factory.mktemp("solubility"))
    design = read_json(made.paths["protocol"])["design"]
    knobs = Space(knobs_from_table(design["knobs"])).for_target(SOLUBILITY).table()
    edit_json(made.paths["protocol"], design=design | {"target": asdict(SOLUBILITY), "knobs": knobs})
    (made.data / "cleaning.parquet").unlink()  # that of melting temperatures
    edit_facts(made, synthetic=False)
    tables = made.study / "tables"
    inputs = {name: read_table(tables / f"{name}.parquet") for name in ("winner_predictions", "floor_predictions")}
    labels = read_table(made.study / "evidence" / "labels.parquet")
    subgroups = make(**inputs, labels=labels, protocol=made.paths["protocol"])["subgroups"]
    subgroups.write_parquet(tables / "subgroups.parquet")
    return made


def test_the_page_names_the_target_and_its_unit(made, tmp_path):
    page = made.report(tmp_path / "report")
    text = page.read_text(encoding="utf-8")
    assert not words_of_tm(text)
    for said in ("test MAE, %", "measured solubility (%)", "best predictor of solubility", "40–60 % (", " %</span>"):
        assert said in text


def test_squares_of_dense_figures_fit_the_scale():
    assert square_side(TM) == 2.0 and square_side(SOLUBILITY) == 2.0
