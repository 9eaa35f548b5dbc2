"""A baseline that fails stops a study with the cause, before a model is asked or a search begins."""

import pytest
from llm.server import ChatServer
from survival import STRATEGIES
from workflow import Workspace, study

pytestmark = pytest.mark.slow


def test_nothing_is_spent_on_a_baseline_that_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_LLM_KEY", "sk-not-a-key")
    with ChatServer() as server:
        agent = {"kind": "ra", "model": "openai:test-model", "base_url": f"{server.url}/v1"}
        agent |= {"api_key_env": "TEST_LLM_KEY", "price": {"input": 2.0, "output": 10.0}}
        config = study(strategies={"bo": STRATEGIES["bo"], "ra": agent})
        config["design"]["budget"]["fit_s"] = 0.001
        space = Workspace(tmp_path / "space", config)
        said = space.run("--retries", "0", fails=True)
        assert "the baseline fails with seed 0, so no search can begin: t" in said  # timeout, or tamper: cpu_time
        assert not server.requests
        assert not space.journal() and not list(space.study.glob("*/t0/i1"))
