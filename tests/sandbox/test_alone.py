"""The package of the sandbox stands alone: the standard library, and nothing else of tmelt."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tmelt.harness import sandbox

NAME = sandbox.__name__
FILES = sorted(Path(sandbox.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_module_imports_the_standard_library_and_its_own_package_only(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            names = [node.module]
        else:
            continue
        for name in names:
            own = name == NAME or name.startswith(f"{NAME}.")
            # The self-test asks torch for CUDA, where the phases are to have it.
            known = name.partition(".")[0] in sys.stdlib_module_names or (path.stem, name) == ("canary", "torch")
            assert own or known, f"{path.name} imports {name}"


def test_importing_it_loads_nothing_else_of_tmelt():
    code = (
        f"import sys, {NAME}\n"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] == 'tmelt'), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = {name for name in done.stdout.split() if not name.startswith(f"{NAME}.")}
    assert loaded == {"tmelt", "tmelt.harness", NAME}, done.stderr
