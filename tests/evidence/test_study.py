"""Reading a study from a notebook."""

import subprocess
import sys

import pytest

import tmelt
from tmelt.errors import InputError


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
