"""Each recipe of docs/extend/recipes.md is applied to a copy of the repository, and the commands below it are run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_config import ROOT

PAGE = (ROOT / "docs" / "extend" / "recipes.md").read_text(encoding="utf-8")
RECIPES = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
LEFT_OUT = (".git", ".venv", ".snakemake", "results", "__pycache__", ".*_cache", ".hypothesis")


def blocks(recipe, language):
    """The fenced blocks of a recipe in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", RECIPES[recipe], re.MULTILINE | re.DOTALL)


def run(command, copy, text=None):
    """Run a command in the copy, whose package comes first, with the programs of this environment."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(copy),
        "PYTEST_ADDOPTS": "-q -n0 -p no:cacheprovider",
        "OMP_NUM_THREADS": "1",
        "GIT_CEILING_DIRECTORIES": str(copy.parent),
    }
    done = subprocess.run(command, cwd=copy, env=environment, input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
    return done.stdout


def test_every_recipe_has_a_change_and_a_test_of_it():
    assert len(RECIPES) >= 3
    for recipe in RECIPES:
        assert blocks(recipe, "diff") and "pytest" in "".join(blocks(recipe, "bash")), recipe


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_applies_and_its_tests_pass(recipe, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    for change in blocks(recipe, "diff"):
        run(["git", "apply", "-"], copy, change)
    for command in "".join(blocks(recipe, "bash")).splitlines():
        told = run(["bash", "-c", command], copy)
        assert not command.startswith("pytest") or re.search(r"[1-9]\d* passed", told), command
