"""Reading a study from a notebook."""

import json
import shutil
import subprocess
import sys

import polars as pl
import pytest

import tmelt
from tmelt.errors import InputError
from tmelt.study.results import with_knobs


def test_a_study_reads_as_frames(simulated):
    study = tmelt.read_study(simulated.study)
    assert study.searches == [(strategy, t) for strategy in ("ra", "random", "ua") for t in (0, 1)]
    assert len(study.trials) == 6 * 9
    assert len(study.history("ua", 1)) == 9
    assert study.history("ua", 1).incumbent.ok
    assert study.proposal("ra", 0, 1).origin == "agent"
    assert set(study.predictions("ra", 0, 0, 1)["split"]) == {"val", "select", "test"}
    assert "winners" in study.tables and len(study.table("winners")) == 6
    assert study.protocol.study == "simulated"


def test_each_knob_is_a_column(simulated):
    trials = tmelt.read_study(simulated.study).trials
    for row in trials.iter_rows(named=True):
        knobs = json.loads(row["knobs"])
        found = {name.removeprefix("knob_"): row[name] for name in row if name.startswith("knob_")}
        assert {name: value for name, value in found.items() if value is not None} == knobs
    assert trials["knob_learning_rate"].dtype == pl.Float64 and trials["knob_pooling"].dtype == pl.String


def test_knobs_of_scripts_may_mix_types_and_be_absent():
    knobs = [{"a": 1, "b": True, "c": 1}, {"a": 0.5, "c": "x"}, {}]
    found = with_knobs(pl.DataFrame({"knobs": [json.dumps(each) for each in knobs]}))
    assert found["knob_a"].to_list() == [1.0, 0.5, None]
    assert found["knob_b"].to_list() == [True, None, None]
    assert found["knob_c"].to_list() == ["1", "x", None]


def test_several_studies_are_one_frame(simulated, tmp_path):
    other = shutil.copytree(simulated.study, tmp_path / "other", ignore=shutil.ignore_patterns("journal", "confirm"))
    protocol = json.loads((other / "protocol.json").read_text())
    (other / "protocol.json").write_text(json.dumps(protocol | {"study": "other"}))
    studies = tmelt.read_studies([simulated.study, other])
    alone = tmelt.read_study(simulated.study)
    assert studies.trials.height == 2 * alone.trials.height
    assert studies.trials["study"].unique(maintain_order=True).to_list() == ["simulated", "other"]
    assert studies.trials.filter(pl.col("study") == "other").drop("study").equals(alone.trials)
    assert "winners" in studies.tables and studies.table("winners").height == 2 * alone.table("winners").height
    with pytest.raises(InputError, match="two of the studies are named simulated"):
        tmelt.read_studies([simulated.study, simulated.study])
    with pytest.raises(InputError, match="no folder"):
        tmelt.read_studies([])


def test_what_is_not_there_is_named(simulated, tmp_path):
    with pytest.raises(InputError, match=r"no protocol.json"):
        tmelt.read_study(tmp_path)
    study = tmelt.read_study(simulated.study)
    with pytest.raises(InputError, match=r"no table 'wishes'; there are: .*winners"):
        study.table("wishes")
    with pytest.raises(InputError, match=r"no search bo/t0; there are: ra/t0"):
        study.history("bo")


def test_importing_tmelt_stays_light():
    code = "import sys, tmelt; print('polars' in sys.modules, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
