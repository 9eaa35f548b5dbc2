"""The whole workflow by real Snakemake: from a config to its report, extended, changed, replayed."""

import json
import re
import subprocess
import sys
import zipfile

import polars as pl
import pytest
import yaml
from workflow import REPOSITORY, Workspace

from tmelt.evidence.make import TABLES
from tmelt.harness.run import ROW_WISE_TOLERANCE
from tmelt.study import read_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """studies/ci.yaml, every kind of strategy, run to its report."""
    config = yaml.safe_load((REPOSITORY / "studies" / "ci.yaml").read_text())
    space = Workspace(tmp_path_factory.mktemp("finished") / "space", config)
    space.output = space.run(targets=["all"], timeout=1500)
    return space


@pytest.fixture
def copy(finished, tmp_path):
    """A study like the finished one, to do something to."""
    return Workspace.copy_of(finished, tmp_path / "space")


def test_a_study_ends_in_its_report(finished):
    page = (finished.study / "report" / "report.html").read_text()
    for strategy in finished.config["extent"]["strategies"]:
        assert strategy in page
    assert "synthetic" in page
    assert "untrained" in page
    assert "scripted" in page
    # A person who watched saw the searches go on.
    assert re.search(r"bo t0 trial 3: val MAE \d+\.\d\d °C, \w+; incumbent \d", finished.output)
    assert "(100%) done" in finished.output
    assert str((finished.study / "report" / "report.html").relative_to(finished.folder)) in finished.output


def test_every_search_began_with_the_same_baseline(finished):
    first = pl.read_parquet(finished.study / "tables" / "trials.parquet").filter(pl.col("iteration") == 0)
    assert len(first) == len(finished.config["extent"]["strategies"])
    assert first["val_mae"].n_unique() == 1
    assert set(first["origin"]) == {"baseline"}
    # … which was trained once per seed, not once per search.
    journal = [json.loads(path.read_text()) for path in finished.study.glob("journal/runs/*/*/run.json")]
    trials = pl.read_parquet(finished.study / "tables" / "trials.parquet")
    distinct = trials.unique(["script", "knobs"])
    assert len(journal) == len(distinct) * 2 + len(list(finished.study.glob("confirm/c*/s*")))


def test_test_labels_were_opened_once_and_after_the_searches(finished):
    (opening,) = json.loads((finished.study / "vault_log.json").read_text())
    assert "test" in json.dumps(opening)
    last = max(path.stat().st_mtime for path in finished.study.glob("*/t*/i*/trial.parquet"))
    assert (finished.study / "tables" / "runs.parquet").stat().st_mtime >= last


def test_notebooks_read_a_study_in_one_line(finished):
    study = read_study(finished.study)
    assert len(study.trials) == 6 * 4
    assert study.table("winners")["test_mae"].null_count() == 0


def test_the_winner_goes_home_and_predicts_as_it_was_measured(finished, tmp_path):
    (proteins,) = finished.folder.glob("results/data/*/proteins.parquet")
    hidden = pl.read_parquet(proteins).filter(pl.col("split") == "val")
    fasta = "".join(f">{name}\n{sequence}\n" for name, sequence in hidden.select("protein_id", "sequence").iter_rows())
    (tmp_path / "new.fasta").write_text(fasta)
    bundle = finished.study / "bundle" / "ci.zip"
    command = [sys.executable, "-m", "tmelt", "predict", "new.fasta", "--bundle", bundle, "--output", "new.parquet"]
    subprocess.run(command, cwd=tmp_path, env=finished.environment(), check=True)
    found = pl.read_parquet(tmp_path / "new.parquet")
    with zipfile.ZipFile(bundle) as archive:
        about = json.loads(archive.read("bundle.json"))
    run = finished.study / "confirm" / about["winner"]["candidate"] / f"s{about['seeds'][0]}" / "predictions.parquet"
    both = found.join(pl.read_parquet(run), on="protein_id")
    assert len(both) == len(hidden)
    tolerance = ROW_WISE_TOLERANCE[about["harness"]["precision"]]
    assert both["tm"].to_list() == pytest.approx(both["prediction"].to_list(), abs=tolerance)
    assert (finished.study / "bundle" / "model_card.md").read_text().startswith("# ci: melting temperatures")
    assert f"bundle: {bundle.relative_to(finished.folder)}" in finished.output


def test_the_finished_study_verifies(finished, tmp_path):
    before = finished.hashes("**/*")
    command = [sys.executable, "-m", "tmelt", "verify", finished.study]
    done = subprocess.run(command, cwd=tmp_path, env=finished.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert finished.hashes("**/*") == before


def test_the_searches_and_tables_go_home(finished):
    import optuna

    trials = pl.read_parquet(finished.study / "tables" / "trials.parquet")
    storage = f"sqlite:///{finished.study}/export/optuna.db"
    for name in finished.config["extent"]["strategies"]:
        study = optuna.load_study(study_name=f"{name}/t0", storage=storage)
        rows = trials.filter(pl.col("strategy") == name).sort("iteration")
        assert [one.value for one in study.trials] == rows["val_mae"].to_list()
        # Every knob has a range, those that scripts declare included: all trials can be drawn.
        assert [one.params for one in study.trials] == [json.loads(knobs) for knobs in rows["knobs"]]
    for table in TABLES:
        assert (finished.study / "export" / f"{table}.csv").exists(), table
    csv = pl.read_csv(finished.study / "export" / "winners.csv")
    winners = pl.read_parquet(finished.study / "tables" / "winners.parquet")
    assert csv["test_mae"].to_list() == winners["test_mae"].to_list()


def test_a_second_run_has_nothing_to_do(copy):
    before = copy.hashes("**/*.parquet")
    assert "Nothing to be done" in copy.run(targets=["all"])
    assert copy.hashes("**/*.parquet") == before


def test_growth_adds_only_new_work(copy):
    before = copy.hashes("*/t*/i*/**/*.parquet") | copy.hashes("*/t*/i*/proposal.json") | copy.journal()
    extent = copy.config["extent"]
    extent["iterations"] = 4
    extent["seeds"] = [0, 1, 2]
    extent["trajectories"] = 2
    extent["strategies"] = {"random": {"kind": "random"}, "bo": {"kind": "bo", "startup": 2}} | {
        name: strategy for name, strategy in extent["strategies"].items() if name not in ("random", "bo")
    }
    extent["strategies"]["bo_qmc"] = {"kind": "bo", "sampler": "qmc"}
    copy.write_config()
    copy.run(timeout=1500)
    after = copy.hashes("*/t*/i*/**/*.parquet") | copy.hashes("*/t*/i*/proposal.json") | copy.journal()
    assert {name: after[name] for name in before} == before
    trials = copy.trials()
    assert len(trials) == 7 * 2 * 5
    assert (copy.study / "bo" / "t0" / "i1" / "s2" / "run.parquet").exists()
    new = trials.filter((pl.col("iteration") == 4) & (pl.col("strategy") == "bo"))
    assert new["seeds"].to_list() == [[0, 1, 2]] * 2


def test_another_fresh_seed_is_trained_beside_the_others(copy):
    runs = copy.study / "tables" / "confirmed_runs.parquet"
    seeds, before = pl.read_parquet(runs)["seed"].n_unique(), copy.journal()
    copy.config["extent"]["confirm_seeds"] += 1
    copy.write_config()
    copy.run(targets=["all"])
    assert pl.read_parquet(runs)["seed"].n_unique() == seeds + 1
    after = copy.journal()
    assert {name: after[name] for name in before} == before
    assert after.keys() > before.keys()


def test_a_changed_design_stops_by_name_and_touches_nothing(copy):
    before = copy.hashes("**/*.json")
    copy.config["design"]["budget"]["fit_s"] = 31
    copy.write_config()
    output = copy.run(targets=["all"], fails=True)
    assert "budget.fit_s: 30.0 -> 31.0" in output
    assert "on_change: revision" in output
    assert copy.hashes("**/*.json") == before


def test_a_revision_is_recorded_once_by_a_run_and_not_by_a_look(copy):
    copy.config["design"]["budget"]["fit_s"] = 31
    copy.config["on_change"] = "revision"
    copy.write_config()
    before = copy.hashes("**/*")
    for looking in (["--dry-run"], ["--summary"], ["--unlock"]):
        copy.run(*looking, targets=["all"])
        assert copy.hashes("**/*") == before, looking
    copy.run(targets=["all"])
    copy.run(targets=["all"])
    (revision,) = copy_protocol(copy)["revisions"]
    assert revision["changes"] == ["budget.fit_s: 30.0 -> 31.0"]


def copy_protocol(space):
    return json.loads((space.study / "protocol.json").read_text())


def test_a_dry_run_writes_nothing(tmp_path):
    space = Workspace(tmp_path / "space", yaml.safe_load((REPOSITORY / "studies" / "ci.yaml").read_text()))
    output = space.run("--dry-run", targets=["all"])
    assert "prepare_proteins" in output
    assert not (space.folder / "results").exists()


def test_an_unknown_option_of_a_strategy_stops_before_any_job(tmp_path):
    config = yaml.safe_load((REPOSITORY / "studies" / "ci.yaml").read_text())
    config["extent"]["strategies"]["bo"]["start_up"] = 2
    space = Workspace(tmp_path / "space", config)
    assert "extent.strategies.bo.start_up" in space.run(targets=["all"], fails=True)
    assert not (space.folder / "results").exists()


def test_agents_are_replayed_byte_for_byte_without_asking(copy):
    agents = [name for name, strategy in copy.config["extent"]["strategies"].items() if "model" in strategy]
    proposals = {name: copy.hashes(f"{name}/t*/i*/proposal.json") for name in agents}
    for name in agents:
        for trial in (copy.study / name / "t0").glob("i*"):
            (trial / "proposal.json").unlink()
    copy.config["runtime"]["replay"] = "strict"
    copy.write_config()
    copy.run(targets=[f"results/ci/{name}/t0/i{iteration}/proposal.json" for name in agents for iteration in range(4)])
    assert {name: copy.hashes(f"{name}/t*/i*/proposal.json") for name in agents} == proposals
