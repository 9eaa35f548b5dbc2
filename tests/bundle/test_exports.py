"""Exports: values, states, knobs and reasons come back as the study has them."""

import json
from datetime import UTC, datetime, timedelta

import optuna
import polars as pl
import pytest
from optuna.trial import TrialState
from study_records import protocol

from tmelt.evidence.tables import table
from tmelt.export.csv_tables import write_csv
from tmelt.export.optuna_storage import export_optuna
from tmelt.search.knobs import Space
from tmelt.storage.schema import TRIAL

PROTOCOL = protocol(study="mine", title="My study", sha256="5" * 64, reference_sha256="a" * 64)
NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
EMA = {"name": "ema", "kind": "float", "low": 0.9, "high": 0.9999, "default": 0.99, "meaning": "decay"}


def trial(iteration, status="ok", strategy="bo", trajectory=0, knobs=None, own=(), **changes):
    """A trial's row; `knobs` are added to the defaults, `own` is what its script declares."""
    row = dict.fromkeys(TRIAL.names) | {
        "strategy": strategy,
        "trajectory": trajectory,
        "iteration": iteration,
        "status": status,
        "origin": "sampler",
        "script": "a" * 64,
        "script_lines": 200,
        "knobs": json.dumps(Space().complete({}) | (knobs or {})),
        "proposal": json.dumps({"rationale": f"because {iteration}", "declared_knobs": list(own)}),
        "fidelity": 1.0,
        "seeds": [0, 1],
        "val_mae_by_seed": [7.0 + iteration / 3, 7.1] if status == "ok" else [],
        "val_mae": 7.05 + iteration / 3 if status == "ok" else None,
        "decision": "keep" if status == "ok" else "discard",
        "incumbent": 0,
        "fit_s": 2.5,
        "chain": "c",
    }
    return row | changes


def trained(*times):
    """Rows of runs: (strategy, trajectory, iteration, seconds since 2030 of the begin and the end, or None)."""
    kinds = {"strategy": pl.String, "trajectory": pl.Int64, "iteration": pl.Int64}
    rows = [
        (*key, None, None) if begin is None else (*key, end - begin, (NEW_YEAR + timedelta(seconds=end)).timestamp())
        for *key, begin, end in times
    ]
    return pl.DataFrame(rows, schema=kinds | {"wall_s": pl.Float64, "ended_at": pl.Float64}, orient="row")


def exported(rows, tmp_path, runs=None):
    """{name: study} as Optuna reads them back."""
    path = tmp_path / "folder with ?&" / "optuna.db"
    export_optuna(table(rows, TRIAL), trained() if runs is None else runs, PROTOCOL, path)
    assert [file.name for file in path.parent.iterdir()] == ["optuna.db"]  # no journal, no temporary file
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    storage = f"sqlite:///{copy}"
    return {name: optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)}


def test_searches_come_back_with_values_states_and_knobs(tmp_path):
    rows = [
        *(trial(number, knobs={"learning_rate": 1e-3 / (number + 3), "batch_size": 16}) for number in range(3)),
        trial(3, "crash", error="Boom\nline 2 °C"),
        trial(4, "refused", knobs={}),
        trial(0, strategy="ra", trajectory=1),
    ]
    studies = exported(rows, tmp_path)
    assert sorted(studies) == ["bo", "bo/t0", "ra", "ra/t1"]
    study = studies["bo/t0"]
    assert study.direction.name == "MINIMIZE"
    assert study.user_attrs["tmelt_study"] == "mine"
    assert study.metric_names == ["validation MAE (°C)"]
    assert study.best_trial.number == 0
    for row, found in zip(rows, study.trials, strict=False):
        assert found.number == row["iteration"]
        assert found.params == json.loads(row["knobs"])  # to the last bit
        assert {name: type(value) for name, value in found.params.items()} == {
            name: type(value) for name, value in json.loads(row["knobs"]).items()
        }
        assert found.state == (TrialState.COMPLETE if row["status"] == "ok" else TrialState.FAIL)
        assert found.value == row["val_mae"]
        assert found.user_attrs["status"] == row["status"]
        assert found.user_attrs["rationale"] == f"because {row['iteration']}"
        assert found.user_attrs["script_sha256"] == "a" * 64
        assert found.user_attrs["decision"] == row["decision"]
        assert found.user_attrs["seeds"] == [0, 1]
        assert found.duration.total_seconds() == 2.5
    assert study.trials[0].user_attrs["val_mae_by_seed"] == rows[0]["val_mae_by_seed"]
    assert study.trials[0].user_attrs["incumbent"] is True
    assert study.trials[3].user_attrs["error"] == "Boom\nline 2 °C"
    assert study.trials[1].datetime_start == study.trials[0].datetime_complete


def test_nothing_that_test_labels_were_needed_for_is_in_it(tmp_path):
    for study in exported([trial(0)], tmp_path, trained(("bo", 0, 0, 0, 5))).values():
        assert len(study.trials) == 1 and not [name for name in study.trials[0].user_attrs if "test" in name]


def test_a_strategy_has_the_trials_of_its_searches_at_their_real_times(tmp_path):
    rows = [
        *(trial(number, trajectory=search) for search in (0, 1) for number in range(2)),
        trial(2, "refused", trajectory=1),
        trial(3, trajectory=1),
        trial(0, strategy="ra"),
    ]
    runs = trained(
        ("bo", 0, 0, 10, 15), ("bo", 0, 0, 11, 16), ("bo", 1, 0, 12, 13), ("bo", 1, 1, 14, 20), ("bo", 0, 1, 17, 19),
        ("bo", 1, 2, None, None), ("bo", 1, 3, 2, 3), ("ra", 0, 0, None, None),
    )  # fmt: skip
    studies = exported(rows, tmp_path, runs)
    found = [
        (one.user_attrs["search"], one.user_attrs["iteration"], one.datetime_start, one.datetime_complete)
        for one in studies["bo"].trials
    ]
    moments = [
        ("t0", 0, 10, 16), ("t1", 0, 12, 13), ("t1", 1, 14, 20), ("t1", 2, 14, 14),
        ("t1", 3, 14, 14),  # trained earlier, from the journal: it starts no earlier than the one before
        ("t0", 1, 17, 19),
    ]  # fmt: skip
    new_year = NEW_YEAR.replace(tzinfo=None)
    expected = [
        (search, iteration, new_year + timedelta(seconds=begin), new_year + timedelta(seconds=end))
        for search, iteration, begin, end in moments
    ]
    assert found == expected
    assert "UTC" in studies["bo"].user_attrs["clock"] and len(studies["ra"].trials) == 0
    assert "search" not in studies["bo/t0"].trials[0].user_attrs


def test_knobs_that_scripts_declare_are_parameters_like_others(tmp_path):
    other = {"name": "ema", "kind": "choice", "choices": ["on", "off"], "default": "on", "meaning": "whether"}
    script = {"script": "b" * 64}
    rows = [
        trial(0),
        trial(1, knobs={"ema": 0.95}, own=[EMA], **script),
        trial(2, knobs={"ema": 0.99}, own=[EMA | {"low": 0.5}], **script),  # another range: Optuna allows it
        trial(3, knobs={"ema": "off"}, own=[other], script="c" * 64),  # another kind: Optuna does not
        trial(4, knobs={"ema": 2.0}, own=[EMA], **script),  # outside its own range
        trial(5, knobs={"rest": 3}, own=[{"name": "rest"}], **script),  # no knob at all
    ]
    study = exported(rows, tmp_path)["bo/t0"]
    assert "ema" not in study.trials[0].params
    assert study.trials[1].params["ema"] == 0.95
    assert study.trials[1].distributions["ema"].low == 0.9
    assert study.trials[2].params["ema"] == 0.99
    assert study.trials[3].params["ema (script cccccccc)"] == "off"
    assert study.trials[4].user_attrs["knobs_without_range"] == {"ema": 2.0}
    assert study.trials[5].user_attrs["knobs_without_range"] == {"rest": 3}
    assert [one.user_attrs["reference_script"] for one in study.trials] == [True] + [False] * 5


@pytest.mark.slow
def test_the_same_tables_give_the_same_studies(tmp_path):
    rows = [trial(0), trial(1, "timeout"), trial(0, strategy="ra")]
    first, again = (exported(rows, tmp_path / name) for name in ("a", "b"))
    for name in first:
        ours, theirs = ([vars(one) for one in found[name].trials] for found in (first, again))
        assert ours == theirs


@pytest.mark.slow
def test_a_sampler_can_go_on_from_the_export(tmp_path):
    """What a lab may want to do with it: search on, with Optuna alone."""
    study = exported([trial(number) for number in range(12)], tmp_path)["bo/t0"]
    study.sampler = optuna.samplers.TPESampler(seed=0)
    asked = study.ask({"learning_rate": study.trials[0].distributions["learning_rate"]})
    assert 1e-5 <= asked.params["learning_rate"] <= 1e-2


@pytest.mark.parametrize("text", ['say "a", b', "line\nbreak", "", "°C; Ä"])
def test_csv_gives_back_every_number_and_word(tmp_path, text):
    frame = pl.DataFrame(
        {
            "text": [text, None],
            "number": [0.1 + 0.2, None],
            "tiny": [1e-300, -5e-324],
            "whole": [2**53 + 1, None],
            "list": [[1.5, 0.1 + 0.2], None],
            "words": [["a,b", 'c"'], []],
            "flag": [True, None],
        }
    )
    write_csv(frame, tmp_path / "t.csv")
    back = pl.read_csv(tmp_path / "t.csv")
    assert back.drop("list", "words").equals(frame.drop("list", "words"))
    for name in ("list", "words"):
        assert [None if cell is None else json.loads(cell) for cell in back[name]] == frame[name].to_list()
