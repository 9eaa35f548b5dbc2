"""What README.md and CONTRIBUTING.md name is there."""

import re

import pytest
from test_config import ROOT


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "profiles/slurm/README.md"])
def test_named_files_exist(page):
    text = (ROOT / page).read_text()
    named = set(re.findall(r"(?<![\w/}])(?:tmelt|rules|scripts|studies|profiles|tests|report|envs)/[\w/.]*\w", text))
    assert named, "this test looks for nothing"
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_named_places_exist():
    """Upper-case names of CONTRIBUTING.md stand in the file that the same row names."""
    rows = [line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| a")]
    found = 0
    for row in rows:
        files = [ROOT / name for name in re.findall(r"`((?:tmelt|tests)/[\w/.]+\w)/?`", row)]
        sources = [path for file in files for path in (file.rglob("*.py") if file.is_dir() else [file])]
        for name in re.findall(r"`(_?[A-Z][A-Z_]+)`", row):
            assert any(re.search(rf"^{name}\b", path.read_text(), re.MULTILINE) for path in sources), (name, row)
            found += 1
    assert found > 5
