"""Snakemake's memory of files while a study runs: nothing is remembered of a file that a job is making."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.io import _IOFile
from workflow import REPOSITORY

from tmelt.jobs.known_files import KnownFiles

sys.path.insert(0, str(REPOSITORY / "benchmarks"))


@pytest.fixture
def known():
    """The cache of a run that has begun."""
    cache = KnownFiles(10)
    cache.deactivate()
    return cache


def file_of(cache: KnownFiles, path: Path) -> _IOFile:
    """A file as the rules of a run with this cache know it."""
    rule = SimpleNamespace(workflow=SimpleNamespace(iocache=cache), pathvars=SimpleNamespace(apply=str))
    return _IOFile(str(path), rule=rule)


def exists(file: _IOFile) -> bool:
    return asyncio.run(file.exists_local())


def test_a_settled_file_is_looked_for_once(known, tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    there, missing = file_of(known, tmp_path / "a"), file_of(known, tmp_path / "b")
    assert exists(there) and not exists(missing)
    monkeypatch.setattr("os.path.exists", lambda path: pytest.fail(f"looked for {path} again"))
    assert exists(there) and not exists(missing)


def test_what_a_job_makes_is_seen_when_it_ends_and_while_it_runs(known, tmp_path):
    path = tmp_path / "a"
    file = file_of(known, path)
    assert not exists(file)
    known.move([str(path)])
    assert not exists(file)
    path.write_text("one")
    assert exists(file)
    path.unlink()
    assert not exists(file)
    path.write_text("three")
    known.settle([str(path)])
    assert exists(file)


@pytest.mark.parametrize(("fact", "read"), [("size", "size"), ("mtime", "mtime"), ("checksum", "checksum")])
def test_facts_of_an_output_are_those_of_its_last_run(known, tmp_path, fact, read):
    path = tmp_path / "a"
    path.write_text("one")
    file = file_of(known, path)

    def look():
        found = asyncio.run(file.checksum(1000) if read == "checksum" else getattr(file, read)())
        return found.local() if fact == "mtime" else found

    before = look()
    known.move([str(path)])
    path.write_text("another")
    known.settle([str(path)])
    assert look() != before


@pytest.mark.slow
def test_a_finished_job_costs_little_however_many_searches_there_are(tmp_path):
    import running

    costs = {}
    for searches in (2, 8):
        place = tmp_path / str(searches)
        place.mkdir()
        costs[searches] = running.run_study(place, searches, 4, 0.0, "all")["calls_per_job"]
    assert max(costs.values()) <= running.TARGETS["searches"], costs
    assert costs[8] <= 1.15 * costs[2], costs
