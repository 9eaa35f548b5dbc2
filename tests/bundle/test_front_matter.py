"""Metadata of a model card, as the Hub's own library reads them."""

import copy
import importlib.util

import pytest
from example import ABOUT
from needs import need

from tmelt.bundle.card import write_card
from tmelt.bundle.front_matter import without_front_matter
from tmelt.bundle.verdict import verdict

ESM = {"name": "esm2_t30_150M_UR50D", "weights": "download", "untrained": False, "released": True}


def card_data(about):
    need(importlib.util.find_spec("huggingface_hub"), "huggingface_hub is not installed: make test")
    from huggingface_hub import ModelCard

    return ModelCard(write_card(about)).data


def test_the_hub_reads_the_measured_errors():
    data = card_data(ABOUT)
    assert data.model_name == "mine" and data.license == "unknown" and data.library_name == "tmelt"
    assert data.base_model is None
    values = {result.metric_name: result.metric_value for result in data.eval_results}
    winner = ABOUT["measured"]["winner"]
    assert sorted(values.values()) == sorted([winner["test_ensemble_mae"], winner["test_mae"]])
    assert {result.dataset_split for result in data.eval_results} == {"test"}


def test_a_released_backbone_is_the_base_model_and_the_verdict_a_tag():
    about = ABOUT | {"backbone": ABOUT["backbone"] | ESM, "labels": []}
    data = card_data(about)
    assert data.base_model == "facebook/esm2_t30_150M_UR50D"
    assert f"verdict-{verdict(about).kind}" in data.tags


@pytest.mark.parametrize("text", ["a: b # c", "---\nlicense: mit\n---", '"quoted": {yes}', "°C, – and ≥"])
def test_no_description_escapes_from_the_metadata(text):
    about = copy.deepcopy(ABOUT)
    about["training"]["description"] = text
    data = card_data(about)
    assert data.license == "unknown" and data.eval_results[0].dataset_name == text


def test_a_terminal_is_shown_the_card_from_its_title_on():
    card = write_card(ABOUT)
    assert card.startswith("---\n") and without_front_matter(card).startswith("# mine")
    assert without_front_matter("# no metadata\n\n---\ntext\n") == "# no metadata\n\n---\ntext\n"
