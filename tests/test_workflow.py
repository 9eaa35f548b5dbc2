"""The whole workflow by real Snakemake: from a config to its report, changed, replayed."""

import json
import re

import polars as pl
import pytest
import yaml
from finished_studies import OUTPUT
from workflow import REPOSITORY, Workspace

from tmelt.evidence.make import TABLES
from tmelt.study.results import read_study

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(ci, tmp_path):
    """A study like the finished one, to do something to."""
    return Workspace.copy_of(ci, tmp_path / "space")


def test_a_study_ends_in_its_report(ci):
    output = (ci.folder / OUTPUT).read_text()
    page = (ci.study / "report" / "report.html").read_text()
    for strategy in ci.config["extent"]["strategies"]:
        assert strategy in page
    assert "synthetic" in page
    assert "untrained" in page
    assert "scripted" in page
    # The log showed the progress of the searches.
    assert re.search(r"bo t0 trial 3: val MAE \d+\.\d\d °C, \w+; incumbent \d", output)
    assert "(100%) done" in output
    assert str((ci.study / "report" / "report.html").relative_to(ci.folder)) in output
    assert "bundle: results/ci/bundle/ci.zip" in output
    assert "\n# ci: melting temperatures" in (ci.study / "bundle" / "model_card.md").read_text()


def test_every_search_began_with_the_same_baseline(ci):
    first = pl.read_parquet(ci.study / "tables" / "trials.parquet").filter(pl.col("iteration") == 0)
    assert len(first) == len(ci.config["extent"]["strategies"])
    assert first["val_mae"].n_unique() == 1
    assert set(first["origin"]) == {"baseline"}
    # … which was trained once per seed, not once per search.
    journal = [json.loads(path.read_text()) for path in ci.study.glob("journal/runs/*/*/run.json")]
    trials = pl.read_parquet(ci.study / "tables" / "trials.parquet")
    distinct = trials.unique(["script", "knobs"])
    assert len(journal) == len(distinct) * 2 + len(list(ci.study.glob("confirm/c*/s*")))


def test_test_labels_were_opened_once_and_after_the_searches(ci):
    (opening,) = json.loads((ci.study / "vault_log.json").read_text())
    assert "test" in json.dumps(opening)
    last = max(path.stat().st_mtime for path in ci.study.glob("*/t*/i*/trial.parquet"))
    assert (ci.study / "tables" / "runs.parquet").stat().st_mtime >= last


def test_notebooks_read_a_study_in_one_line(ci):
    study = read_study(ci.study)
    assert len(study.trials) == 6 * 4
    assert study.table("winners")["test_mae"].null_count() == 0


def test_the_searches_and_tables_go_home(ci):
    import optuna

    trials = pl.read_parquet(ci.study / "tables" / "trials.parquet")
    storage = f"sqlite:///{ci.study}/export/optuna.db"
    for name in ci.config["extent"]["strategies"]:
        study = optuna.load_study(study_name=f"{name}/t0", storage=storage)
        rows = trials.filter(pl.col("strategy") == name).sort("iteration")
        assert [one.value for one in study.trials] == rows["val_mae"].to_list()
        # Every knob has a range, those that scripts declare included: all trials can be drawn.
        assert [one.params for one in study.trials] == [json.loads(knobs) for knobs in rows["knobs"]]
        timed = optuna.load_study(study_name=name, storage=storage).trials
        assert [one.user_attrs["iteration"] for one in timed] == rows["iteration"].to_list()
        assert all(one.datetime_start <= one.datetime_complete for one in timed if one.state.name == "COMPLETE")
    for table in TABLES:
        assert (ci.study / "export" / f"{table}.csv").exists(), table
    csv = pl.read_csv(ci.study / "export" / "winners.csv")
    winners = pl.read_parquet(ci.study / "tables" / "winners.parquet")
    assert csv["test_mae"].to_list() == winners["test_mae"].to_list()


def test_a_second_run_has_nothing_to_do(copy):
    before = copy.hashes("**/*.parquet")
    assert "Nothing to be done" in copy.run(targets=["all"])
    assert copy.hashes("**/*.parquet") == before


def test_a_changed_design_stops_by_name_and_touches_nothing(copy):
    before = copy.hashes("**/*.json")
    copy.config["design"]["budget"]["fit_s"] = 31
    copy.write_config()
    output = copy.run(targets=["all"], fails=True)
    assert "budget.fit_s: 30.0 -> 31.0" in output
    assert "on_change: revision" in output
    assert copy.hashes("**/*.json") == before


def test_a_revision_is_recorded_once_by_a_run_and_not_by_a_look(minimal, tmp_path):
    copy = Workspace.copy_of(minimal, tmp_path / "space")
    copy.config["design"]["budget"]["fit_s"] = 61
    copy.config["on_change"] = "revision"
    copy.write_config()
    before = copy.hashes("**/*")
    for looking in (["--dry-run"], ["--summary"], ["--unlock"]):
        copy.run(*looking, targets=["all"])
        assert copy.hashes("**/*") == before, looking
    copy.run(targets=["all"])
    copy.run(targets=["all"])
    (revision,) = copy_protocol(copy)["revisions"]
    assert revision["changes"] == ["budget.fit_s: 60.0 -> 61.0"]


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
    """The last proposal of each; `tmelt verify` replays them all (tests/verify)."""
    agents = [name for name, strategy in copy.config["extent"]["strategies"].items() if "model" in strategy]
    files = [copy.study / name / "t0" / "i3" / "proposal.json" for name in agents]
    proposals = {path: path.read_bytes() for path in files}
    for path in files:
        path.unlink()
    copy.config["runtime"]["replay"] = "strict"
    copy.write_config()
    copy.run(targets=[str(path.relative_to(copy.folder)) for path in files])
    assert {path: path.read_bytes() for path in files} == proposals
