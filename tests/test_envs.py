"""One list of pins: the environments are made from it, and it forces neither CUDA nor its absence."""

import importlib.metadata
import importlib.util
import re

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_config import ROOT

LOCK = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]


def test_environments_are_what_the_lock_makes(tmp_path):
    spec = importlib.util.spec_from_file_location("write_envs", ROOT / "scripts" / "write_envs.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write_envs(folder=tmp_path)
    for name in ("tmelt.yaml", "apptainer.def"):
        assert (tmp_path / name).read_text() == (ROOT / "envs" / name).read_text(), "run scripts/write_envs.py"
    assert yaml.safe_load((tmp_path / "tmelt.yaml").read_text())["dependencies"][-1]["pip"] == LOCK


def test_the_lock_names_no_cuda_package_and_no_build_of_torch():
    assert not [pin for pin in LOCK if re.match(r"nvidia|triton|cuda", pin)]
    assert "torch==2.13.0" in LOCK


def test_what_is_installed_is_what_is_locked():
    locked = dict(pin.split("==") for pin in LOCK)
    assert len(locked) > 100, "this test looks for nothing"
    assert {name: importlib.metadata.version(name).split("+")[0] for name in locked} == locked


def test_the_lock_holds_every_dependency():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    locked = {canonicalize_name(name): version for name, version in (pin.split("==") for pin in LOCK)}
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement
