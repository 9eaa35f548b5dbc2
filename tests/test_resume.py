"""A search that stopped goes on once what stopped it has changed, whatever interrupts its reopening."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
from simulation import RULE, Landscape, outcome, without_proteins
from study_records import protocol

from tmelt.search.history import History, Proposal, Trial
from tmelt.search.knobs import Space
from tmelt.search.notes import Ended, Stop, notes_to_json
from tmelt.search.scoring import trial_row
from tmelt.storage.files import read_json, write_json, write_text
from tmelt.storage.schema import TRIAL, write_table
from tmelt.strategies.stop import UNUSABLE
from tmelt.study.protocol import REFERENCE
from tmelt.study.resume import reopen, stop_circumstances

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
MEASURED = (
    "fit_mae", "stop_mae", "parameter_count", "checkpoint_mb", "fit_s", "cut_by_clock", "cpu_s", "device_s", "memory_mb"
)  # fmt: skip
BEFORE, AFTER = {"budget": {"usd": 1}}, {"budget": {"usd": 2}}


def script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["closed", "open"])
def stopped(tmp_path, request) -> Path:
    """A search that stopped at trial 3: gathered, or interrupted before the block of that trial was closed."""
    circumstances = stop_circumstances(BEFORE, tmp_path)
    for iteration in range(5):
        state = notes_to_json([Stop(circumstances=circumstances)] if iteration == 3 else [])
        status = "stopped" if iteration >= 3 else "proposed"
        write_json(tmp_path / f"i{iteration}" / "proposal.json", {"status": status, "state": state})
        for name in ("history.parquet", "llm/01.json", "s0/run.parquet"):
            write_text(tmp_path / f"i{iteration}" / name, "")
    write_json(tmp_path / "blocks" / "1.json", {"status": "continue"})
    if request.param == "closed":
        end = {"status": "stopped", "stopped_at": 3, "circumstances": circumstances}
        write_json(tmp_path / "blocks" / "4.json", end)
        for name in ("trials_n9_s1.parquet", "results_n9_s1.tsv"):
            write_text(tmp_path / name, "")
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


def test_a_reopening_is_completed_wherever_it_was_interrupted(stopped, monkeypatch):
    unlink, everything = Path.unlink, {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    interruptions = 0
    while True:
        for path, content in everything.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        left = [interruptions]

        def until_killed(path, *arguments, left=left, **options):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            unlink(path, *arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", until_killed)
            try:
                reopen(stopped, AFTER)
                break
            except KeyboardInterrupt:
                interruptions += 1
        reopen(stopped, AFTER)
        assert files(stopped) == kept(), interruptions
    assert interruptions >= 4


def test_a_stop_remembers_what_it_depended_on_although_its_block_is_closed_later(tmp_path):
    """The user removes the pause while the rest of the block is still on its way."""
    search = tmp_path / "study" / "random" / "t0"
    baseline = Proposal(Space().defaults(), REFERENCE.read_text(), origin="baseline")
    history = outcome(History(), baseline, Landscape(Space()))
    write_table(search / "i0" / "history.parquet", [dict(trial.row) for trial in history], TRIAL)
    protocol(study="study").write(tmp_path / "study" / "protocol.json")
    write_text(search / "guidance.yaml", "pause_before: 1\n")
    for iteration in (1, 2):
        script("propose").propose_candidate(
            protocol=tmp_path / "study" / "protocol.json",
            proteins=tmp_path / "proteins.parquet",
            embedding=tmp_path / "embedding.json",
            strategy="random",
            settings=json.dumps({"kind": "random"}),
            trajectory=0,
            iteration=iteration,
            iterations=2,
            history=[search / f"i{iteration - 1}" / "history.parquet"],
            replay="fill",
            folder=search / f"i{iteration}",
        )
        proposal = Proposal.read(search / f"i{iteration}")
        assert proposal.status == "stopped"
        row = trial_row(
            proposal=proposal, strategy="random", trajectory=0, iteration=iteration, history=history, rule=RULE,
            validation=without_proteins([]), status="stopped", seeds=[0], maes=[], error=proposal.error,
            measured=dict.fromkeys(MEASURED),
        )  # fmt: skip
        history = History([*history, Trial.of(row)])
        write_table(search / f"i{iteration}" / "history.parquet", [dict(trial.row) for trial in history], TRIAL)
    (search / "guidance.yaml").unlink()
    end = search / "blocks" / "2.json"
    script("close_block").close_block(history=search / "i2" / "history.parquet", block=end)
    assert (read_json(end)["status"], read_json(end)["stopped_at"]) == ("stopped", 1)
    reopen(search, {})
    assert files(search) == {"i0/history.parquet"}


def test_the_cause_and_the_price_of_a_stop_are_in_the_marker_of_its_block(tmp_path):
    baseline = Proposal(Space().defaults(), REFERENCE.read_text(), origin="baseline")
    history = outcome(History(), baseline, Landscape(Space()))
    stop = replace(
        baseline,
        origin="agent",
        status="stopped",
        error="no use",
        state=(Ended(cause=UNUSABLE),),
        llm_calls=3,
        parent=0,
    )
    row = trial_row(
        proposal=stop, strategy="ra", trajectory=0, iteration=1, history=history, rule=RULE,
        validation=without_proteins([]), status="stopped", seeds=[0], maes=[], error=stop.error,
        measured=dict.fromkeys(MEASURED),
    )  # fmt: skip
    rows = [dict(trial.row) for trial in [*history, Trial.of(row)]]
    write_table(tmp_path / "history.parquet", rows, TRIAL)
    script("close_block").close_block(history=tmp_path / "history.parquet", block=tmp_path / "1.json")
    marker = read_json(tmp_path / "1.json")
    assert (marker["cause"], marker["reason"], marker["llm_calls"]) == (UNUSABLE, "no use", 3)
