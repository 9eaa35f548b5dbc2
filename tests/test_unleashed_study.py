"""Whole studies whose unleashed agent answers over real HTTP: cheaters, a crash with its repair, a spent budget."""

import json
import sys

import polars as pl
import pytest
from workflow import REPOSITORY, Workspace, study

sys.path.append(str(REPOSITORY / "tests" / "harness"))

from llm.server import ChatServer, Reply
from small_data import RIDGE
from test_cheaters import ANSWER, cheat

from tmelt.verify.run import EQUAL, verify_study

pytestmark = pytest.mark.slow


def written(script, **header):
    """A reply with a whole script."""
    said = {"hypothesis": "it will be better", "rationale": "a thought", "expected_effect": -1.0} | header
    return Reply(f"```json\n{json.dumps(said)}\n```\n```python\n{script}\n```")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_LLM_KEY", "sk-planted-secret")
    with ChatServer() as running:
        yield running


def unleashed(folder, server, iterations, **options):
    agent = {
        "kind": "ua",
        "model": "openai:test-model",
        "base_url": f"{server.url}/v1",
        "api_key_env": "TEST_LLM_KEY",
        "price": {"input": 2.0, "output": 10.0},
        "repairs": 1,
    } | options
    config = study(iterations=iterations, strategies={"ua": agent})
    config["design"]["budget"] |= {"fit_s": 8, "predict_s": 5}
    return Workspace(folder / "space", config)


def test_a_study_of_cheaters(tmp_path, server):
    """Each is caught by name or measured as what it is; the study ends in its report, and no key is in any file."""
    space = unleashed(tmp_path, server, iterations=6, repairs=0)
    vault = space.folder / "results" / "data"
    sniff = (
        "import os, glob\n"
        f"print(glob.glob({str(vault)!r} + '/**/*', recursive=True), os.environ.get('TEST_LLM_KEY'))\n"
        f"open({str(space.study)!r} + '/protocol.json', 'a').write('x')"
    )
    server.will(
        written(cheat("return 100 * (honest - honest.mean()) + 50")),
        written(cheat("honest[0] = np.nan; return honest")),
        written(cheat(f"{ANSWER}; os.symlink('/etc/passwd', out); os._exit(0)")),
        written(cheat("import time; time.sleep(60)")),
        written(cheat(fit=sniff)),
        written(cheat("return np.full(len(honest), 55.0)")),
    )
    space.run(targets=["all"])
    trials = space.trials()
    assert trials["status"].to_list() == ["ok", "invalid", "invalid", "tamper", "timeout", "crash", "ok"]
    assert trials["incumbent"].to_list()[:6] == [0] * 6
    sniffed = trials["error"][5]
    assert "[] None" in sniffed  # no file seen, no key
    page = (space.study / "report" / "report.html").read_text()
    assert "tamper" in page
    for path in space.folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.is_relative_to(space.folder / "results"):
            assert b"sk-planted-secret" not in path.read_bytes(), path


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A search to its report: a crash, its repair, then the budget is spent. Beside it the port that its server had."""
    with pytest.MonkeyPatch.context() as patch, ChatServer() as server:
        patch.setenv("TEST_LLM_KEY", "sk-planted-secret")
        server.will(written(RIDGE.replace("np.linalg.solve", "np.linalg.sovle")), written(RIDGE))
        space = unleashed(tmp_path_factory.mktemp("stopped"), server, iterations=3, budget={"calls": 2})
        space.run(targets=["all"], timeout=1100)
        assert server.paid == 2
        return space, server.port


def test_a_crash_is_repaired_until_the_budget_is_spent(stopped):
    space, _ = stopped
    trials = space.trials()
    assert trials["status"].to_list() == ["ok", "crash", "ok"]  # and there the search stopped
    assert "has no attribute 'sovle'" in trials["error"][1]
    assert trials["decision"].to_list() == ["baseline", "discard", "keep"]
    assert trials["val_mae"][2] < trials["val_mae"][0]
    (marker,) = [
        json.loads(path.read_text())
        for path in space.study.glob("ua/t0/blocks/*.json")
        if "stopped" in path.read_text()
    ]
    assert (marker["status"], marker["stopped_at"]) == ("stopped", 3)


def test_a_stopped_search_verifies_without_its_server(stopped):
    """A real LLM's transcripts over HTTP, a crash, a spent budget, no confirmation."""
    lines: list[str] = []
    assert verify_study(stopped[0].study, cores=2, say=lines.append) == EQUAL, lines
    assert any("were not replayed: 1" in line for line in lines), lines


def test_a_spent_budget_can_be_raised(stopped, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_LLM_KEY", "sk-planted-secret")
    finished, port = stopped
    space = Workspace.copy_of(finished, tmp_path / "space")
    before = space.hashes("ua/t0/i[0-2]/**/*.parquet")

    assert "Nothing to be done" in space.run()  # the same budget: still stopped
    space.config["extent"]["strategies"]["ua"]["budget"] = {"calls": 3}
    space.write_config()
    everything = space.hashes("**/*")
    for looking in (["--dry-run"], ["--summary"], ["--unlock"], ["--lint"]):
        space.attempt(*looking)
        assert space.hashes("**/*") == everything, looking
    with ChatServer(port) as server:
        server.will(written(RIDGE.replace("1e-2", "1e-1")))
        space.run()
        assert server.paid == 1
    assert space.trials()["status"].to_list() == ["ok", "crash", "ok", "ok"]
    assert space.hashes("ua/t0/i[0-2]/**/*.parquet") == before
    assert pl.read_parquet(space.study / "ua/t0/i3/trial.parquet")["llm_calls"].item() == 1
