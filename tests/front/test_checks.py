"""What is checked before a study starts: each fault in its own line, all of them, and nothing written."""

import copy
import dataclasses
import platform
import sys
import types
from pathlib import Path
from unittest import mock

import pytest
import yaml
from proteins_tables import rows, write
from workflow import SMALLEST

from tmelt.cli import main
from tmelt.front import checks, price
from tmelt.front.checks import CHECKS, Subject, run_checks
from tmelt.front.price import most_usd
from tmelt.strategies.registry import kind_of
from tmelt.study.config import parse_config
from tmelt.study.lock import hold


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def changed(**design):
    config = copy.deepcopy(SMALLEST)
    config["design"] |= design
    return config


def found(config, *names, local=True, results="results"):
    """What the checks of these names find: text by name, faults with a mark."""
    subject = Subject(parse_config(config), Path(results), local)
    chosen = {name: CHECKS[name] for name in names}
    with mock.patch.dict(CHECKS, chosen, clear=True):
        said = list(run_checks(subject))
    return {each.what: ("FAULT " if each.fault else "") + "\n".join(each.said) for each in said}


def agent(**options):
    config = copy.deepcopy(SMALLEST)
    config["extent"]["strategies"] = {"ra": {"kind": "ra", "model": "openai:gpt-5-nano", **options}}
    return config


def test_a_sound_study_has_no_fault_and_nothing_is_written(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(SMALLEST))
    main(["study", "study.yaml", "--check-only"])
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_all_faults_are_told_before_anything_starts(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    config = agent() | {"design": changed(backbone={"name": "esm2_t6_8M_UR50D", "weights": "w.pt"})["design"]}
    config["design"]["data"] = {
        "name": "mine",
        "source": str(write(tmp_path, [*rows(60), {**rows(1)[0], "tm": "warm"}])),
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as left:
        main(["study", "study.yaml"])
    said = capsys.readouterr()
    assert left.value.code == 2
    assert said.err == "error: study.yaml: 3 checks failed, listed above; nothing was started\n"
    for words in ("'warm' is not a number", "w.pt: no such file", "OPENAI_API_KEY, which is not set"):
        assert words in said.out
    assert not (tmp_path / "results").exists()


def test_a_fault_of_the_config_is_one_line(tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(SMALLEST | {"studdy": 1}))
    with pytest.raises(SystemExit) as left:
        main(["study", "study.yaml"])
    assert left.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_a_missing_table_is_told_once(tmp_path):
    data = {"name": "mine", "source": "nowhere.csv"}
    said = found(changed(data=data), "data", "study", "backbone", "disk")
    faults = [name for name, words in said.items() if words.startswith("FAULT")]
    assert faults == ["data"] and "nowhere.csv: no such file" in said["data"]


def test_a_table_says_what_it_allows(tmp_path):
    data = {"name": "mine", "source": str(write(tmp_path, rows(90)))}
    said = found(changed(data=data), "data")["data"]
    assert "90 proteins" in said and "difference between two models below about" in said
    assert "organisms: 3, of which" in said


@pytest.mark.slow
def test_keys_prices_and_limits(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key")
    said = found(agent(), "models")["models"]
    assert "million tokens; NO LIMIT" in said
    limited = agent(budget={"usd": 2.5})
    limited["extent"]["trajectories"] = 3
    said = found(limited, "models")["models"]
    assert "each of 3 searches at most $2.5" in said and "at most $7.50" in said
    assert most_usd(parse_config(limited)) == 7.5
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "FAULT" in found(agent(), "models")["models"]
    assert "from recorded replies alone" in found(agent() | {"runtime": {"replay": "strict"}}, "models")["models"]


def test_a_running_study_is_not_started_again(tmp_path):
    lock = hold(tmp_path / "results" / "smallest", "smallest")
    assert "a run of this study is going on" in found(SMALLEST, "study")["study"]
    lock.release()
    assert "FAULT" not in found(SMALLEST, "study")["study"]


def test_another_system_is_named(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert found(SMALLEST, "platform")["platform"].startswith("FAULT this is Darwin;")


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(checks, "requires", lambda name: ["numpy", "no-such-package>=2", 'x; extra == "dev"'])
    assert "no-such-package>=2 is missing; pip install" in found(SMALLEST, "packages")["packages"]
    monkeypatch.setattr(checks, "requires", mock.Mock(side_effect=checks.PackageNotFoundError))
    assert found(SMALLEST, "packages")["packages"].startswith("not compared")
    monkeypatch.setattr(checks, "requires", lambda name: ["numpy>=99"])
    assert "is installed; pip install 'numpy>=99'" in found(SMALLEST, "packages")["packages"]


def test_an_impossible_sandbox_is_a_fault_here_and_left_to_other_machines():
    config = changed(sandbox="apptainer", sandbox_image="no.sif")
    assert found(config, "sandbox")["sandbox"].startswith("FAULT sandbox")
    assert "before the first trial" in found(config, "sandbox", local=False)["sandbox"]


def test_a_full_disk_is_told(monkeypatch):
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda place: type("Disk", (), {"free": 1_000_000})())
    assert "1 MB free" in found(SMALLEST, "disk")["disk"]


def test_a_command_of_the_user_counts_with_its_own_limit(monkeypatch):
    """A kind that is an agent without a model of the config: a program that asks one."""
    program = dataclasses.replace(kind_of("ra"), name="program", options=dict)
    monkeypatch.setattr(price, "kind_of", lambda name: program if name == "program" else kind_of(name))
    config = parse_config(agent(budget={"usd": 2.0}))
    for budget, total in (({"usd": 3.0}, 5.0), (None, None)):
        options = {"command": ["x"], "budget": budget}
        program_arm = types.SimpleNamespace(kind="program", options=options)
        both = types.SimpleNamespace(strategies=config.extent.strategies | {"p": program_arm}, trajectories=1)
        assert most_usd(types.SimpleNamespace(extent=both)) == total
        assert price.commands(types.SimpleNamespace(extent=both)) == ["p"]
