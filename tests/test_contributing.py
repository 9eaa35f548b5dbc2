"""What README.md and CONTRIBUTING.md name is there, and their recipes hold when they are followed to the letter."""

import os
import re
import shutil
import subprocess
import sys

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


def change(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


@pytest.mark.slow
def test_the_recipe_of_a_strategy(copy):
    """A module with its `KIND`, an arm of the contract, the schema for editors."""
    strategies = copy / "tmelt" / "strategies"
    text = (strategies / "random.py").read_text()
    declared = 'Kind("random", "random search", propose, RandomOptions, order=10, origins=DRAWN)'
    assert declared in text
    text = text.replace(declared, 'Kind("blind", "blind search", propose, RandomOptions, order=12, origins=OWN)')
    text = text.replace('origin="random"', 'origin="blind"')
    text = text.replace("DRAWS = 1000", 'OWN = {"blind": "drawn"}\nDRAWS = 1000')
    (strategies / "blind.py").write_text(text)
    change(copy / "tests" / "test_strategies.py", '    "random": Arm("random"),\n',
           '    "random": Arm("random"),\n    "blind": Arm("blind"),\n')  # fmt: skip
    python(copy, "scripts/write_config_schema.py")
    assert passed(copy, "tests/test_strategies.py", "-k", "blind or every_kind") == 12
    assert passed(copy, "tests/test_registry.py", "tests/test_config_schema.py", "tests/test_contributing.py",
                  "-m", "not slow")  # fmt: skip


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


@pytest.mark.slow
def test_the_recipe_of_a_knob(copy):
    """A line in the table and its use in the training script."""
    change(copy / "tmelt" / "knobs.py", '        _choice("residual", "plain",',
           '        Knob("norm_epsilon", "float", 1e-5, "added to the variance by layer norms", 1e-8, 0.1, log=True),\n'
           '        _choice("residual", "plain",')  # fmt: skip
    change(copy / "tmelt" / "candidate" / "train.py", 'self.norm = nn.LayerNorm(knobs["width"])',
           'self.norm = nn.LayerNorm(knobs["width"], eps=knobs["norm_epsilon"])')  # fmt: skip
    assert passed(copy, "tests/test_candidate.py", "-k", "norm_epsilon") == 1
    tests = ["tests/test_knobs.py", "tests/test_baseline.py", "tests/evidence/test_difference.py",
             "tests/agents/test_prompts.py", "tests/test_strategies.py", "tests/agents/test_playbook.py"]  # fmt: skip
    assert passed(copy, *tests, "-m", "not slow", "-k", "not contract and not Contract")
