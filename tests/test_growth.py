"""A finished study that grows in every direction: only what is new is made, and all that depends on it.

That it verifies is tested in tests/verify.
"""

import json
import zipfile

import optuna
import polars as pl
import pytest
from finished_studies import PLAN

from tmelt.bundle.archive import ABOUT

pytestmark = pytest.mark.slow


def searched(space):
    """What the searches left that took work, by name."""
    return space.hashes("*/t*/i*/**/*.parquet") | space.hashes("*/t*/i*/proposal.json") | space.journal()


def test_only_new_work_is_done(minimal, grown):
    before, after = searched(minimal), searched(grown)
    assert {name: after[name] for name in before} == before
    trials = grown.trials()
    assert len(trials) == 3 * 2 * 3
    new = trials.filter((pl.col("iteration") == 2) | (pl.col("trajectory") == 1) | (pl.col("strategy") == "bo"))
    assert new["seeds"].to_list() == [[0, 1]] * (len(trials) - 4)  # what was scored by one seed stays so …
    assert (grown.study / "random" / "t0" / "i1" / "s1" / "run.parquet").exists()  # … with the new seed beside it


def test_another_fresh_seed_is_trained_beside_the_others(minimal, grown):
    for space, count in ((minimal, 1), (grown, 2)):
        assert pl.read_parquet(space.study / "tables" / "confirmed_runs.parquet")["seed"].n_unique() == count
    kept = minimal.hashes("confirm/c*/s*/run.parquet")
    after = grown.hashes("confirm/c*/s*/run.parquet")
    assert kept and {name: after.get(name) for name in kept} == kept


def test_bundle_and_exports_are_made_again_from_all_of_it(minimal, grown):
    planned = (grown.folder / PLAN).read_text()
    for rule in ("tabulate_trials", "write_bundle", "export_optuna", "export_csv", "export_crate", "write_report"):
        assert rule in planned, planned
    for name in ("bundle/smallest.zip", "export/optuna.db", "export/trials.csv", "report/report.html"):
        assert (grown.study / name).stat().st_mtime_ns > (minimal.study / name).stat().st_mtime_ns, name
    names = optuna.get_all_study_names(f"sqlite:///{grown.study}/export/optuna.db")
    searches = [f"{strategy}/t{search}" for strategy in ("bo", "ra", "random") for search in (0, 1)]
    assert sorted(names) == sorted(["bo", "ra", "random", *searches])
    with zipfile.ZipFile(grown.study / "bundle" / "smallest.zip") as archive:
        winner = json.loads(archive.read(ABOUT))["winner"]["candidate"]
    runs = pl.read_parquet(grown.study / "tables" / "confirmed_runs.parquet")
    means = dict(runs.group_by("candidate").agg(pl.col("select_mae").mean()).iter_rows())
    assert means[winner] == min(means.values())
