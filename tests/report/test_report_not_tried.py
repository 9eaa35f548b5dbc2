"""A strategy whose model's replies could not be used is named as not tried, and is in no comparison or figure."""

import json
import re

import polars as pl
import pyarrow.parquet as pq
import pytest
from simulated_study import write_study
from small_studies import UNUSABLE_REPLIES, make_study

from tmelt.errors import InputError
from tmelt.evidence.make import TABLES, make_tables
from tmelt.storage.files import read_json, write_json


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three strategies, of which one was not tried, and the registered question is about it."""
    made = make_study(
        tmp_path_factory.mktemp("made"), strategies=("random", "bo", "ra"), not_tried=("ra",), iterations=4,
        purposes=("winner", "baseline"),
    )  # fmt: skip
    protocol = read_json(made.study / "protocol.json")
    hypothesis = {"a": "ra", "b": "random", "metric": "test_mae", "effect": 0.5, "searches": 2, "looks": [2]}
    write_json(made.study / "protocol.json", protocol | {"hypothesis": hypothesis})
    return made


def test_it_is_in_no_other_table(made):
    for name in TABLES:
        frame = pq.read_table(made.study / "tables" / f"{name}.parquet").to_pylist()
        named = any("ra" in row.values() for row in frame)
        assert named == (name == "not_tried"), name
    (row,) = pq.read_table(made.study / "tables" / "not_tried.parquet").to_pylist()
    assert (row["strategy"], row["trajectory"], row["searches"], row["trials"]) == ("ra", 1, 2, 4)
    assert row["reason"] == UNUSABLE_REPLIES["reason"]
    histories = sorted((made.study / "ra" / "t1").glob("trials_*.parquet"))
    assert row["llm_calls"] == pl.concat(map(pl.read_parquet, histories))["llm_calls"].sum() + 3


@pytest.mark.slow
def test_the_page_names_it_and_the_cause_and_shows_it_nowhere_else(made, tmp_path):
    page = made.report(tmp_path).read_text()
    text = re.sub(r"<[^>]+>", " ", page)
    assert "Not tried: ra." in text
    assert "1 of 2 searches ended: 20 replies in a row could not be used" in text
    assert "Not answered: ra was not tried." in text
    assert text.count("ra (not tried)") == 2  # of the final table and the one of integrity
    assert not re.search(r"\d ?°C[^.]{0,40}\bra\b", text)
    for data in tmp_path.glob("figures/*.csv"):
        assert not re.search(r"(^|,)ra(,|$)", data.read_text(), re.MULTILINE), data.name


def test_other_stops_leave_a_strategy_in(made, tmp_path):
    marker = made.study / "ra" / "t1" / "blocks" / "4.json"
    histories = sorted(made.study.glob("*/t*/trials_*.parquet"))
    before = marker.read_text()
    try:
        marker.write_text(json.dumps(UNUSABLE_REPLIES | {"cause": None, "reason": "the budget is spent"}))
        files = {name: tmp_path / f"{name}.parquet" for name in ("trials", "not_tried")}
        make_tables("trials", {"histories": histories, **files})
    finally:
        marker.write_text(before)
    assert pl.read_parquet(files["trials"])["strategy"].n_unique() == 3
    assert not len(pl.read_parquet(files["not_tried"]))


def test_a_study_of_which_nothing_was_tried_stops_with_the_cause(tmp_path):
    simulated = write_study(tmp_path, strategies=("ra",), trajectories=1, iterations=3, proteins=160)
    write_json(simulated.study / "ra" / "t0" / "blocks" / "3.json", UNUSABLE_REPLIES)
    files = {name: tmp_path / f"{name}.parquet" for name in ("trials", "not_tried")}
    with pytest.raises(InputError, match=r"no strategy was tried.*ra: 20 replies in a row could not be used"):
        make_tables("trials", {"histories": simulated.histories, **files})
