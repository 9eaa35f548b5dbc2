"""Planning of long searches: the largest block is within Snakemake's recursion limit."""

import pytest
from workflow import Workspace, study

from tmelt.config import parse_config
from tmelt.errors import InputError


@pytest.mark.slow
def test_a_thousand_iterations_in_the_largest_blocks(tmp_path):
    space = Workspace(tmp_path / "space", study(iterations=1000, seeds=[0, 1, 2], runtime={"block": 100}))
    assert "score_trial" in space.run("--dry-run")


def test_larger_blocks_are_refused():
    with pytest.raises(InputError, match="block"):
        parse_config(study(runtime={"block": 101}))
