"""A trial is the row of its history and nothing else."""

from dataclasses import fields, replace
from typing import get_args, get_origin, get_type_hints

import pyarrow as pa
import pytest
from simulation import simulate

from tmelt.search.history import Trial
from tmelt.storage.schema import TRIAL, F, N, S, as_frame

KINDS = {S: str, N: int, F: float, pa.list_(N): list[int], pa.list_(F): list[float]}
JSON = {"knobs": "knobs_json", "proposal": "proposal_json"}


@pytest.fixture(scope="module")
def history():
    return simulate("random", 3)


def test_the_fields_of_a_trial_are_the_columns_of_the_schema():
    assert [one.name for one in fields(Trial)] == [JSON.get(name, name) for name in TRIAL.names]
    hints = get_type_hints(Trial)
    for column in TRIAL:
        kind = hints[JSON.get(column.name, column.name)]
        wanted = KINDS[column.type]
        assert wanted in (kind, *(get_args(kind) if get_origin(kind) is not list else ())), column.name


def test_a_row_comes_back_from_its_trial(history):
    for row in as_frame([trial.row for trial in history], TRIAL).iter_rows(named=True):
        trial = Trial.of(row)
        assert trial.row == row and list(trial.row) == TRIAL.names
        assert trial == history[trial.iteration] and trial.knobs == history[trial.iteration].knobs


def test_a_changed_trial_has_a_changed_row(history):
    assert history[1].row["integrity"] == "clean"
    assert replace(history[1], integrity="table_like").row == {**history[1].row, "integrity": "table_like"}


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_a_row_with_other_columns_is_refused(history, change):
    row = {name: value for name, value in history[1].row.items() if change == "unknown" or name != "margin"}
    with pytest.raises(TypeError, match="margin" if change == "missing" else "wishes"):
        Trial.of(row | ({"wishes": 1} if change == "unknown" else {}))


def test_an_unknown_attribute_is_an_error(history):
    with pytest.raises(AttributeError, match="wishes"):
        history[1].wishes  # noqa: B018
