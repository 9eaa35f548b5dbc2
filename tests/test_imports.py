"""What the jobs of a trial import: seconds of CPU for every trial of every search, so nothing that they do not need."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Each costs tenths of a second; torch belongs to the candidate, in its sandbox.
HEAVY = ("torch", "pandas", "scipy", "optuna", "sklearn", "langchain", "langchain_core", "snakemake", "pyarrow.dataset")
SHOW = f"print(*sorted(set({HEAVY!r}) & set(__import__('sys').modules)))"


def imported(code):
    """The heavy modules that a fresh process has loaded after `code`."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{SHOW}"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("script", ["propose", "train_run", "score_trial", "close_block", "gather_trajectory"])
def test_scripts_of_a_trial_start_without_what_they_may_never_need(script):
    assert imported(f"import sys; sys.path.insert(0, 'scripts'); import {script}") == []


def test_tables_are_written_and_read_without_pandas(tmp_path):
    path = tmp_path / "curve.parquet"
    code = f"""
from tmelt.storage.schema import CURVE, read_table, write_table
row = {{"epoch": 1, "fit_loss": 2.0, "stop_mae": None, "learning_rate": 1, "reports": None}}
write_table({str(path)!r}, [row], CURVE)
assert read_table({str(path)!r}, CURVE).to_dicts() == [row]
"""
    assert imported(code) == []
