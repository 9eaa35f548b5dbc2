"""Packages outside the interpreter's own folders can be imported in the sandbox, late and by submodule."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy
import pytest

SITE = Path(numpy.__file__).parents[1]
REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
sys.path.append(sys.argv[1])
from pathlib import Path
from tmelt.harness.sandbox import Limits, Phase, Sandbox

with Sandbox(sys.argv[2], preload=(), entry="late:run", python_path=(Path(sys.argv[3]),)) as sandbox:
    limits = Limits(wall_s=60, memory_mb=2000, processes=30, file_mb=100, disk_mb=50)
    outcome = sandbox.run(Phase({"secret": sys.argv[4]}, (), (), limits))
print(outcome.status, outcome.output, outcome.error)
"""
LATE = """
def run(spec):
    import numpy.fft
    import numpy.random
    print(numpy.random.default_rng(0).integers(9), "imported")
    try:
        open(spec["secret"])
    except OSError:
        return 0
    print("and the checkout is readable")
    return 1
"""


def pth(site: Path) -> None:
    (site / "elsewhere.pth").write_text(f"{SITE}\n")


def linked_folder(site: Path) -> None:
    site.rmdir()
    site.symlink_to(SITE)


def linked_packages(site: Path) -> None:
    for name in ("numpy", "numpy.libs"):
        if (SITE / name).exists():
            (site / name).symlink_to(SITE / name)


def linked_files(site: Path) -> None:
    for name in ("numpy", "numpy.libs"):
        if (SITE / name).exists():
            shutil.copytree(SITE / name, site / name, copy_function=os.symlink)


def on_python_path(site: Path) -> None:
    site.rmdir()


@pytest.mark.parametrize("place", [pth, linked_folder, linked_packages, linked_files, on_python_path])
def test_packages_are_found_wherever_they_lie(backend, tmp_path, place):
    environment = tmp_path / "environment"
    subprocess.run([sys._base_executable, "-m", "venv", "--without-pip", environment], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    place(site)
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "late.py").write_text(textwrap.dedent(LATE))
    checkout = tmp_path / "checkout"  # on PYTHONPATH as well, and with a study's labels
    checkout.mkdir()
    (checkout / "secret").write_text("labels")
    paths = [str(checkout), *([str(SITE)] if place is on_python_path else [])]
    arguments = [str(REPOSITORY), backend, str(tmp_path / "late"), str(checkout / "secret")]
    done = subprocess.run(
        [environment / "bin" / "python", "-c", PROGRAM, *arguments],
        capture_output=True, text=True, cwd="/",
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        | {"PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    assert done.stdout.startswith("ok ") and "imported" in done.stdout, done.stdout + done.stderr
