"""Where the reference script cannot run, a study stops with the cause before a search begins or a model is asked."""

import pytest
from llm.server import ChatServer
from survival import STRATEGIES
from workflow import Workspace, study

pytestmark = pytest.mark.slow


def test_nothing_is_spent_where_the_reference_script_cannot_run(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_LLM_KEY", "sk-not-a-key")
    with ChatServer() as server:
        agent = {"kind": "ra", "model": "openai:test-model", "base_url": f"{server.url}/v1"}
        agent |= {"api_key_env": "TEST_LLM_KEY", "price": {"input": 2.0, "output": 10.0}}
        config = study(strategies={"bo": STRATEGIES["bo"], "ra": agent})
        config["design"]["sandbox"] = "apptainer"  # without an image it cannot work
        space = Workspace(tmp_path / "space", config)
        said = space.run(fails=True)
        assert "rehearse_baseline.log: error: sandbox: " in said and "apptainer: " in said
        assert not server.requests
        assert not list(space.study.glob("*/t0/i0/s0")) and not list(space.study.glob("*/t0/i1"))
