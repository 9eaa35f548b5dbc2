"""The A/A test: real trainings of the default study's baseline, compared with themselves."""

import pytest
import yaml
from workflow import REPOSITORY, Workspace

from tmelt.evidence.aa import RUNS, aa_study, baseline_runs, excluding_zero


@pytest.mark.slow
def test_the_baseline_against_itself_yields_no_difference(tmp_path):
    """Disjoint sets of 2, 3 and 5 of 14 fresh seeds, by the function that every comparison of the page uses."""
    space = Workspace(tmp_path, aa_study(yaml.safe_load((REPOSITORY / "config.yaml").read_text())))
    space.run(targets=["results/aa/evidence/labels.parquet"])
    errors, clusters = baseline_runs(space.study)
    assert len(errors) == RUNS
    for seeds in (2, 3, 5):  # 300 pairs of 14 runs are far from independent: the bound is twice the nominal rate
        assert excluding_zero(errors, clusters, seeds) <= 0.1
