"""What README.md, CONTRIBUTING.md and the pages of docs/ name is there, and a recipe holds when it is followed."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from test_config import ROOT

FOLDERS = "tmelt|rules|scripts|studies|profiles|tests|report|envs|docs"
PAGES = ["README.md", "CONTRIBUTING.md", "profiles/slurm/README.md"]
PAGES += [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page):
    text = (ROOT / page).read_text()
    named = set(re.findall(rf"(?<![\w/}}])(?:{FOLDERS})/[\w/.-]*\w", text))
    assert named or page.startswith("docs/"), "this test looks for nothing"
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_named_places_exist():
    """Upper-case names of CONTRIBUTING.md stand in the file that the same row names."""
    rows = [line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| a")]
    found = 0
    for row in rows:
        files = [ROOT / name for name in re.findall(r"`((?:tmelt|tests|scripts)/[\w/.]+\w)/?`", row)]
        sources = [path for file in files for path in (file.rglob("*.py") if file.is_dir() else [file])]
        for name in re.findall(r"`(_?[A-Z][A-Z_]+)`", row):
            assert any(re.search(rf"^{name}\b", path.read_text(), re.MULTILINE) for path in sources), (name, row)
            found += 1
    assert found > 5


@pytest.fixture
def copy(tmp_path):
    """A copy of the repository to add something to."""
    left_out = (".git", ".venv", ".snakemake", "results", "__pycache__", ".*_cache", ".hypothesis")
    folder = tmp_path / "copy"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*left_out), symlinks=True)
    return folder


def python(copy, *arguments):
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def passed(copy, *arguments):
    """How many tests passed, all of them with what was added."""
    told = python(copy, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *arguments)
    return int(re.search(r"(\d+) passed", told)[1])


@pytest.mark.slow
def test_the_recipe_of_an_agent(copy):
    """A module whose `KIND` says that it is one, its program, the schema for editors."""
    strategies = copy / "tmelt" / "strategies"
    text = (strategies / "ra.py").read_text().replace('"ra"', '"timid"').replace("order=80", "order=81")
    (strategies / "timid.py").write_text(text.replace("CHANGES_MAX = 3", "CHANGES_MAX = 2"))
    shutil.copy(strategies / "prompts" / "ra.md", strategies / "prompts" / "timid.md")
    python(copy, "scripts/write_config_schema.py")
    tests = ("contract", "prompts", "program", "playbook")
    assert passed(copy, *(f"tests/agents/test_{name}.py" for name in tests), "-k", "timid or program") >= 10
    assert passed(copy, "tests/test_registry.py", "tests/test_config_schema.py", "-m", "not slow")
