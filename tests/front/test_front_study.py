"""`tmelt study` by real runs: what it shows, its log, and that signals and exit status are Snakemake's."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from finished_studies import OUTPUT
from patience import wait_for
from workflow import Workspace, end_processes_in, processes_in, study, wait_until

from tmelt.cli import main
from tmelt.study.lock import find

pytestmark = pytest.mark.slow


def test_a_study_shows_checks_trials_and_the_way_to_its_report(minimal):
    lines = (minimal.folder / OUTPUT).read_text().splitlines()
    checks = [line.split()[1] for line in lines if line.startswith("     ok ")]
    assert checks[:3] == ["platform", "packages", "strategies"] and "sandbox" in checks
    trials = [line for line in lines if re.match(r"\d\d:\d\d:\d\d  (ra|random) t0 ", line)]
    assert len(trials) == 4 and all(re.search(r"trial [01]/1 .*best \d+\.\d\d \(trial [01]\)", line) for line in trials)
    assert f"report: results/{minimal.config['study']}/report/report.html" in lines
    assert lines[-1].startswith("report finished · best ")
    assert not any("rule " in line or "steps (" in line for line in lines)


def test_the_log_has_everything_else(minimal):
    lines = (minimal.folder / OUTPUT).read_text().splitlines()
    (log,) = (line.removeprefix("log: ") for line in lines if line.startswith("log: "))
    text = Path(log).read_text()
    assert "rule train_trial:" in text and "rule score_trial:" in text
    assert text.count("val MAE") == 4  # what jobs print


def test_a_finished_study_says_so_and_gives_its_answer(minimal, tmp_path, capsys):
    space = Workspace.copy_of(minimal, tmp_path / "again")
    command = [sys.executable, "-m", "tmelt", "study", space.config_file]
    done = subprocess.run(command, cwd=space.folder, env=space.environment(), capture_output=True, text=True)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout, done.stdout + done.stderr
    assert "begun before, goes on from there" in done.stdout
    main(["report", str(minimal.study)])
    said = capsys.readouterr().out
    assert "synthetic proteins" in said and f"report  {minimal.study}/report/report.html" in said
    assert f"model   {minimal.study}/bundle/smallest.zip" in said


def test_ctrl_c_ends_a_study_as_it_ends_snakemake(tmp_path):
    """The process is Snakemake's own, so that the lock holds its number and signals reach it."""
    space = Workspace(tmp_path, study())
    command = [sys.executable, "-m", "tmelt", "study", space.config_file, "--cores", "1"]
    said = tmp_path / "out.txt"
    with said.open("w") as out:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=space.environment(), stdout=out, stderr=out, start_new_session=True
        )
    try:
        wait_until(lambda: list(tmp_path.glob("results/data/*/prepare_proteins.log")))
        assert find(space.study).holder.pid == process.pid
        process.send_signal(signal.SIGINT)
        assert wait_for(process, 60) == 1, said.read_text()
        assert find(space.study) is None and not processes_in(tmp_path)
        assert "Terminating processes" in said.read_text() and "Traceback" not in said.read_text()
    finally:
        process.kill()
        end_processes_in(tmp_path)
