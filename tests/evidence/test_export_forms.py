"""`tmelt export`: searches as git repositories, whose commits are trials; trials so far as a table and for Optuna."""

import json
import shutil
import subprocess

import optuna
import polars as pl
import pytest
from simulated_study import write_study

from tmelt.cli import main
from tmelt.study.results import read_study


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    """Two searches, with failed trials among them."""
    return write_study(tmp_path_factory.mktemp("made"), strategies=("bo", "ua"), trajectories=1, iterations=12).study


def git(folder, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout


def exported(searches, output):
    main(["export", "git", str(searches), "--output", str(output)])
    return output


@pytest.mark.parametrize("strategy", ["bo", "ua"])
def test_each_trial_is_a_commit_on_the_trial_that_it_was_built_on(searches, tmp_path, strategy):
    repository = exported(searches, tmp_path / "git") / f"{strategy}_t0"
    for trial in read_study(searches).history(strategy):
        branch = f"trial/{trial.iteration}"
        proposal = read_study(searches).proposal(strategy, 0, trial.iteration)
        assert git(repository, "show", f"{branch}:train.py") == proposal.script
        assert json.loads(git(repository, "show", f"{branch}:knobs.json")) == trial.knobs
        subject, _, body = git(repository, "show", "-s", "--format=%B", branch).partition("\n")
        assert subject.startswith(f"Trial {trial.iteration}") and len(subject) <= 72
        assert trial.decision in subject and (not trial.proposal["rationale"] or trial.proposal["rationale"] in body)
        if trial.iteration:
            parent = f"trial/{trial.parent or 0}"
            assert git(repository, "rev-parse", f"{branch}~1") == git(repository, "rev-parse", parent)


def test_main_is_the_incumbent_and_its_log_the_way_there(searches, tmp_path):
    repository = exported(searches, tmp_path / "git") / "ua_t0"
    history = read_study(searches).history("ua")
    best = history[-1].incumbent
    assert git(repository, "rev-parse", "main") == git(repository, "rev-parse", f"trial/{best}")
    way = [best]
    while way[-1]:
        way.append(history[way[-1]].parent or 0)
    assert len(way) > 1
    told = [line.split()[1].rstrip(":,") for line in git(repository, "log", "--format=%s", "main").splitlines()]
    assert told == [str(number) for number in way]
    assert git(repository, "status", "--short") == ""


def test_the_same_study_gives_the_same_commits(searches, tmp_path):
    heads = [
        git(exported(searches, tmp_path / name) / "bo_t0", "for-each-ref", "--format=%(objectname)") for name in "ab"
    ]
    assert heads[0] == heads[1]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda study, output: (output / "bo_t0").mkdir(parents=True), "is there already"),
        (lambda study, output: (study / "bo/t0/i2/train.py").write_text("pass\n"), "is not the script that was scored"),
        (lambda study, output: (study / "bo/t0/i2/train.py").unlink(), "No such file"),
        (lambda study, output: (study / "protocol.json").unlink(), "not a study's folder"),
        (lambda study, output: [shutil.rmtree(study / name) for name in ("bo", "ua")], "no search has a trial yet"),
    ],
)
def test_what_cannot_be_exported_is_one_line(searches, tmp_path, capsys, spoil, said):
    study = shutil.copytree(searches, tmp_path / "study")
    spoil(study, tmp_path / "git")
    with pytest.raises(SystemExit) as ended:
        main(["export", "git", str(study), "--output", str(tmp_path / "git")])
    told = capsys.readouterr().err.strip()
    assert ended.value.code == 2 and said in told and "\n" not in told
    assert not list((tmp_path / "git").glob("*/*")), "a repository was left"


def test_other_forms_are_named(searches, capsys):
    with pytest.raises(SystemExit):
        main(["export", "hg", str(searches)])
    assert "no form 'hg'; expected one of git, csv, optuna, transcripts" in capsys.readouterr().err


def test_all_trials_so_far_as_a_table_and_for_optuna(searches, tmp_path, capsys):
    study = shutil.copytree(searches, tmp_path / "study")
    for path in study.glob("*/t0/i1[0-2]/history.parquet"):  # as while it runs: the last trials are not scored yet
        path.unlink()
    main(["export", "csv", str(study)])
    main(["export", "optuna", str(study), "--output", str(tmp_path / "out")])
    assert capsys.readouterr().out.split() == [f"{study}/export/interim/trials.csv", f"{tmp_path}/out/optuna.db"]
    table = pl.read_csv(study / "export" / "interim" / "trials.csv")
    assert len(table) == 2 * 10 and "knob_learning_rate" in table.columns
    found = optuna.load_study(study_name="ua/t0", storage=f"sqlite:///{tmp_path}/out/optuna.db")
    expected = table.filter(pl.col("strategy") == "ua")["val_mae"].to_list()
    assert [trial.value for trial in found.trials] == expected
    timed = optuna.load_study(study_name="ua", storage=f"sqlite:///{tmp_path}/out/optuna.db").trials
    assert [trial.user_attrs["iteration"] for trial in timed] == list(range(10)) and timed[
        0
    ].datetime_start.year == 2027


def test_an_export_before_the_first_trial_is_one_line(searches, tmp_path, capsys):
    (tmp_path / "study").mkdir()
    shutil.copy(searches / "protocol.json", tmp_path / "study")
    with pytest.raises(SystemExit):
        main(["export", "csv", str(tmp_path / "study")])
    assert "no trial yet" in capsys.readouterr().err
