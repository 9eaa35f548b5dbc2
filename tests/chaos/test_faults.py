"""Disks, files, clocks and services that fail: a clear message or the right result, never a wrong one."""

import json
import os
import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from llm.server import ChatServer, Reply
from survival import same_results
from workflow import Workspace

from tmelt.storage.files import read_json

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


# --- damaged files ----------------------------------------------------------------------------------------------------

TRIAL = ("proposal.json", "train.py", "s0", "trial.parquet", "history.parquet")
END = ("blocks", "trials_*", "results_*")


def again(strategy: str, iteration: int, first: str) -> list[str]:
    """What to delete so that a search is made again from file `first` of a trial on."""
    search = f"{{study}}/{strategy}/t0"
    own = [f"{search}/i{iteration}/{name}" for name in TRIAL[TRIAL.index(first) :]]
    later = [f"{search}/i1/{name}" for name in TRIAL] if iteration == 0 else []
    return [*own, *later, *(f"{search}/{name}" for name in END)]


JOURNAL = ["{study}/journal"]
VIEWS = ["results/embeddings/synthetic-*"]
DAMAGED = {
    "protocol": ("{study}/protocol.json", []),
    "strategy": ("{study}/bo/strategy.json", []),
    "block": ("{study}/bo/t0/blocks/1.json", ["{study}/bo/t0/trials_*"]),
    "proteins": ("results/data/*/proteins.parquet", [*again("bo", 1, "s0"), *JOURNAL]),
    "labels": ("results/data/*/vault/val.parquet", again("bo", 1, "trial.parquet")),
    "residues": ("results/embeddings/synthetic-*/*/fit/residues.f16", [*again("bo", 1, "s0"), *JOURNAL]),
    "pool": ("results/embeddings/synthetic-*/*/pool.parquet", [*again("bo", 1, "s0"), *JOURNAL]),
    "cache": ("results/embeddings/cache/*/*.f16", [*VIEWS, *again("bo", 1, "s0"), *JOURNAL]),
    "cache index": ("results/embeddings/cache/*/*.parquet", [*VIEWS, *again("bo", 1, "s0"), *JOURNAL]),
    "history": ("{study}/bo/t0/i0/history.parquet", again("bo", 1, "proposal.json")),
    "proposal": ("{study}/bo/t0/i1/proposal.json", again("bo", 1, "s0")),
    "script": ("{study}/bo/t0/i1/train.py", again("bo", 1, "s0")),
    "run": ("{study}/bo/t0/i1/s0/run.parquet", again("bo", 1, "trial.parquet")),
    "predictions": ("{study}/bo/t0/i1/s0/predictions.parquet", again("bo", 1, "trial.parquet")),
    "journal": ("{study}/journal/runs/*/*/run.json", again("bo", 0, "s0")),
    "journal's predictions": ("{study}/journal/runs/*/*/predictions.parquet", again("bo", 0, "s0")),
    "transcript": ("{study}/ra/t0/i1/llm/01.json", again("ra", 1, "proposal.json")),
}


def damage(path: Path, kind: str) -> None:
    """Cut a file short, empty it, or write something else over it."""
    whole = path.read_bytes()
    size = len(whole)
    path.write_bytes({"truncated": whole[: size // 2], "empty": b"", "garbled": b"\x00\xff" * (size // 2)}[kind])


def remedy_in(line: str, victims: list[Path]) -> str | None:
    """`restore`, or what to delete, if the line names one of the damaged files."""
    if not any(path.name in line and path.parent.name in line for path in victims):
        return None
    found = re.search(r"delete (\S+)|(restore)", line)
    return found and (found[1] or found[2])


def follow(remedy: str, damaged: Path, space: Workspace, undisturbed: Workspace) -> None:
    """Do what the message says."""
    if remedy == "restore":
        shutil.copy2(undisturbed.folder / damaged.relative_to(space.folder), damaged)
    elif remedy == "it":
        damaged.unlink(missing_ok=True)
    else:
        shutil.rmtree(space.folder / remedy, ignore_errors=True)


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_is_named_or_made_again(request, space_like, what):
    kind = ("truncated", "empty", "garbled")[list(DAMAGED).index(what) % 3]
    undisturbed = request.getfixturevalue("undisturbed_pair" if what == "transcript" else "undisturbed")
    space = space_like(undisturbed)
    pattern, deleted = DAMAGED[what]
    study = f"results/{space.config['study']}"
    victims = sorted(space.folder.glob(pattern.format(study=study)))
    assert victims, pattern
    for name in deleted:
        for path in space.folder.glob(name.format(study=study)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    victims = [path for path in victims if path.exists()]
    assert victims, f"{pattern} was deleted, not damaged"
    for path in victims:
        damage(path, kind)
    status, said = space.attempt()
    if status != 0:
        remedy = next((found for line in said.splitlines() if (found := remedy_in(line, victims))), None)
        assert remedy, f"{kind} {what}: no line names the file and the remedy\n{said[-4000:]}"
        for path in victims:
            follow(remedy, path, space, undisturbed)
        space.run()
    same_results(undisturbed, space)


# --- disks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own for results/; resized or made read-only by `mount` options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
        return folder

    try:
        mount("size=100m")
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"may not mount a tmpfs here ({error}): run the tests as root, in no container or a privileged one")
    yield lambda options: mount(f"remount,{options}") if options else folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def on_disk(space: Workspace, disk) -> Workspace:
    """Move results/ of a study to another disk."""
    results = space.folder / "results"
    shutil.move(results, disk("") / "results")
    results.symlink_to(disk("") / "results")
    return space


def used_kilobytes(folder: Path) -> int:
    whole = os.statvfs(folder)
    return (whole.f_blocks - whole.f_bfree) * whole.f_frsize // 1024


def test_a_full_disk_costs_nothing_but_time(prepared, undisturbed, space_like, small_disk):
    space = on_disk(space_like(prepared), small_disk)
    disk = small_disk("")
    small_disk(f"size={used_kilobytes(disk) + 120}k")  # room for a trial, not for all
    status, said = space.attempt()
    assert status != 0
    assert "No space left" in said
    paid = space.journal()
    small_disk("size=100m")
    space.run()
    same_results(undisturbed, space)
    assert {name: space.journal()[name] for name in paid} == paid


def test_read_only_results_stop_at_once(prepared, undisturbed, space_like, small_disk):
    space = on_disk(space_like(prepared), small_disk)
    small_disk("ro")
    status, said = space.attempt()
    assert status != 0
    assert "Read-only file system" in said
    small_disk("rw")
    space.run()
    same_results(undisturbed, space)


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_wrong_clocks_make_nothing_again(undisturbed, space_like):
    space = space_like(undisturbed)
    draw = random.Random(0)
    for path in space.study.parent.rglob("*"):
        moment = time.time() + draw.uniform(-3e7, 3e7)  # a year to either side
        os.utime(path, (moment, moment), follow_symlinks=False)
    before = space.hashes("**/*.parquet")
    moments = {name: (space.study / name).stat().st_mtime_ns for name in before}
    space.run()
    trained = [name for name in before if "/s0/" in name or name.endswith(("trial.parquet", "history.parquet"))]
    assert trained
    assert {name: moments[name] for name in trained} == {
        name: (space.study / name).stat().st_mtime_ns for name in trained
    }
    longer = space_like(space, iterations=2)
    longer.run()
    same = {name: sha256 for name, sha256 in longer.hashes("**/*.parquet").items() if name in trained}
    assert same == {name: before[name] for name in trained}
    assert len(longer.trials()) == len(space.trials()) + 1


# --- an LLM that is away ----------------------------------------------------------------------------------------------


def test_an_llm_that_is_away_stops_its_search_alone_and_is_asked_once(prepared, space_like, monkeypatch):
    monkeypatch.setenv("TEST_LLM_KEY", "sk-not-a-key")
    with ChatServer() as server:
        agent = {
            "kind": "ra",
            "model": "openai:test-model",
            "base_url": f"{server.url}/v1",
            "api_key_env": "TEST_LLM_KEY",
            "max_retries": 1,
            "backoff_s": 0.01,
            "price": {"input": 2.0, "output": 10.0},
        }
        space = space_like(prepared, strategies={"ra": agent, "bo": {"kind": "bo", "startup": 1}})
        server.will(Reply("overloaded", status=503))
        said = space.run(fails=True)
        assert "503" in said
        assert server.paid == 0
        assert (space.study / "bo/t0/trials_n1_s1.parquet").exists(), "the other search was stopped, too"
        assert not (space.study / "ra/t0/i1/proposal.json").exists()
        change = {"hypothesis": "smaller batches fit better", "rationale": "a guess", "changes": {"batch_size": 8}}
        server.will(Reply(json.dumps(change)))
        space.run()
        assert server.paid == 1
    assert space.trials()["status"].to_list() == ["ok"] * 4
    assert read_json(space.study / "ra/t0/i1/proposal.json")["knobs"]["batch_size"] == 8
