"""The page of a study of another property, by other groups, speaks of these alone."""

from dataclasses import asdict, replace

import pytest
from make_tables import make_tables
from other_target import HOSTS, SOLUBILITY, words_of_organisms, words_of_tm
from shared_study import shared_study
from small_studies import copy_study, edit_facts, edit_json

from tmelt.report.figures.winners import square_side
from tmelt.search.knobs import Space, knobs_from_table
from tmelt.storage.files import read_json
from tmelt.study.target import TM

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The shared study, as if its labels were solubilities and its organisms hosts."""
    simulated = shared_study(tmp_path_factory)
    made = copy_study(simulated, tmp_path_factory.mktemp("solubility"))
    design = read_json(made.paths["protocol"])["design"]
    knobs = Space(knobs_from_table(design["knobs"])).for_target(SOLUBILITY).table()
    design |= {"target": asdict(SOLUBILITY), "group": asdict(HOSTS), "knobs": knobs}
    edit_json(made.paths["protocol"], design=design)
    (made.data / "cleaning.parquet").unlink()  # that of melting temperatures
    edit_facts(made, synthetic=False, generator=None)
    here = replace(simulated, study=made.study, data=made.data)
    make_tables(here, ("tabulate_floors", "tabulate_subgroups", "tabulate_generalisation"))
    return made


def test_the_page_names_the_target_and_its_groups(made, tmp_path):
    text = made.report(tmp_path / "report").read_text(encoding="utf-8")
    assert not words_of_tm(text)
    for said in ("test MAE, %", "measured solubility (%)", "best predictor of solubility", "40–60 % (", " %</span>"):
        assert said in text
    assert not words_of_organisms(text)
    for said in ("ρ within hosts", "host mean (oracle)", "Generalisation to a host left out", "Proteins per host"):
        assert said in text


def test_squares_of_dense_figures_fit_the_scale():
    assert square_side(TM) == 2.0 and square_side(SOLUBILITY) == 2.0
