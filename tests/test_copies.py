"""A study whose searches copy each other: five searches of one arm are one observation, in tables and on the page."""

import json

import polars as pl
import pytest
from llm.server import ChatServer, Reply
from workflow import Workspace, study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Five searches of an agent whose model always says the same, as at temperature 0, beside random search."""
    agent = {"kind": "ra", "model": "openai:test-model", "api_key_env": "TEST_LLM_KEY"}
    change = {"hypothesis": "smaller batches fit better", "rationale": "a guess", "changes": {"batch_size": 8}}
    with pytest.MonkeyPatch.context() as patch, ChatServer() as server:
        patch.setenv("TEST_LLM_KEY", "sk-not-a-key")
        agent["base_url"] = f"{server.url}/v1"
        server.will(Reply(json.dumps(change)))
        config = study(
            strategies={"same": agent, "random": {"kind": "random"}}, trajectories=5, iterations=1, confirm_seeds=2
        )
        config["design"]["data"]["synthetic"]["proteins"] = 120
        space = Workspace(tmp_path_factory.mktemp("copies") / "space", config)
        space.run(targets=["all"], timeout=1500)
    return space


def test_copies_are_one_observation(copies):
    strategies = pl.read_parquet(copies.study / "tables" / "strategies.parquet")
    same = strategies.filter(strategy="same").row(0, named=True)
    assert (same["trajectories"], same["distinct"]) == (5, 1)
    comparison = pl.read_parquet(copies.study / "tables" / "comparison.parquet")
    pair = comparison.filter((pl.col("metric") == "test_mae") & pl.col("b").is_in(["same", "random"]))
    assert pair.select("n_a", "n_b").row(0) == (5, 5)
    assert 1 in pair.select("distinct_a", "distinct_b").row(0)
    assert pair["verdict"].to_list() in ([None], ["undecided"])


def test_the_page_says_how_many_are_distinct(copies):
    page = (copies.study / "report" / "report.html").read_text()
    assert "same: 5 searches, 1 distinct" in page
    assert "Established" not in page
