"""A search that stopped goes on once what stopped it has changed, whatever interrupts its reopening."""

from pathlib import Path

import pytest

from tmelt.files import write_json, write_text
from tmelt.resume import reopen, stop_circumstances

BEFORE, AFTER = {"budget": {"usd": 1}}, {"budget": {"usd": 2}}


@pytest.fixture
def stopped(tmp_path) -> Path:
    """A search of two blocks that stopped at trial 3, gathered."""
    for iteration in range(5):
        for name in ("proposal.json", "history.parquet", "llm/01.json", "s0/run.parquet"):
            write_text(tmp_path / f"i{iteration}" / name, "")
    for name in ("trials_n9_s1.parquet", "results_n9_s1.tsv"):
        write_text(tmp_path / name, "")
    write_json(tmp_path / "blocks" / "1.json", {"status": "continue"})
    circumstances = stop_circumstances(BEFORE, tmp_path)
    write_json(tmp_path / "blocks" / "4.json", {"status": "stopped", "stopped_at": 3, "circumstances": circumstances})
    return tmp_path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def kept() -> set[str]:
    trials = {f"i{i}/{name}" for i in range(3) for name in ("proposal.json", "history.parquet", "s0/run.parquet")}
    return trials | {f"i{i}/llm/01.json" for i in range(5)} | {"blocks/1.json"}


def test_a_stop_holds_while_nothing_has_changed(stopped):
    before = files(stopped)
    reopen(stopped, BEFORE)
    assert files(stopped) == before


def test_what_records_a_stop_goes_and_transcripts_stay(stopped):
    reopen(stopped, AFTER)
    assert files(stopped) == kept()


def test_guidance_that_changed_reopens_too(stopped):
    write_text(stopped / "guidance.yaml", "pause_before: 9\n")
    reopen(stopped, BEFORE)
    assert files(stopped) == kept() | {"guidance.yaml"}


@pytest.mark.parametrize("survived", range(7))
def test_an_interrupted_reopening_is_completed_by_the_next(stopped, monkeypatch, survived):
    unlink, left = Path.unlink, [survived]

    def until_killed(path, *arguments, **options):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        unlink(path, *arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", until_killed)
        reopen(stopped, AFTER)
    assert files(stopped) > kept()
    reopen(stopped, AFTER)
    assert files(stopped) == kept()
