"""A cluster on which things go wrong: jobs, nodes, the controller, the server of an agent's model."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from llm.server import ChatServer, Reply
from on_slurm import ended_well, is_training, slurm, submitted, training_jobs
from patience import wait_for
from survival import STRATEGIES, same_as
from workflow import study, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.chaos]


def test_a_cancelled_job_is_tried_again(begun, undisturbed):
    process = begun.start(profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    slurm("scancel", *training_jobs(begun))
    log = ended_well(process, begun)
    assert len(submitted(log)) == 3
    same_as(undisturbed, begun)


@pytest.mark.disruptive
def test_a_drained_node_and_a_restarted_controller(begun, undisturbed, cluster):
    node = slurm("sinfo", "--noheader", "--format=%N")
    process = begun.start(profile="slurm")
    wait_until(lambda: is_training(begun), 200)
    slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        wait_until(lambda: len(submitted(begun.said())) == 2, 200, pause=0.5)
        assert not training_jobs(begun), "a drained node took a job"
    finally:
        slurm("scontrol", "update", f"nodename={node}", "state=resume")
    wait_until(lambda: is_training(begun), 200)
    shared = Path(__file__).with_name("cluster.sh")
    script = f". {shared}; stop slurmctld; sleep 8; start_slurmctld"
    subprocess.run(["bash", "-euc", script], check=True, timeout=120, env=os.environ | {"SLURM_TEST_DIR": str(cluster)})
    ended_well(process, begun)
    same_as(undisturbed, begun)


def test_out_of_memory_gets_more(begun, undisturbed):
    small = "train_trial:mem_mb=400 if attempt == 1 else 4000"
    process = begun.start("--set-resources", small, profile="slurm")
    log = ended_well(process, begun)
    assert len(submitted(log)) > 2, "the first attempt was not killed"
    same_as(undisturbed, begun)


def test_out_of_time_gets_more(make_space, prepared):
    """A training that lasts as long as its budget lets it, in jobs of one minute, then of two."""
    config = study(strategies={"bo": STRATEGIES["bo"]})
    config["study"] = "slow"
    config["design"]["space"]["epochs"] = {"default": 100_000, "low": 1, "high": 100_000}
    config["design"]["space"]["patience"] = {"default": 100_000, "low": 1, "high": 100_000}
    config["design"]["budget"]["fit_s"] = 70
    config["extent"]["iterations"] = 1
    space = make_space(config)
    process = space.start("--set-resources", "train_trial:runtime=1 if attempt == 1 else 5", profile="slurm")
    wait_until(lambda: len(training_jobs(space)) == 1, 200, pause=1)
    first = training_jobs(space)[0]
    wait_until(lambda: first not in training_jobs(space), 200, pause=1)
    wait_until(lambda: len(training_jobs(space)) == 1, 100, pause=1)
    assert "TIMEOUT" in slurm("sacct", "--noheader", "--format=state", "--jobs", first)
    assert training_jobs(space) != [first]
    os.kill(process.pid, signal.SIGINT)  # the second attempt has time enough; there is no need to see it
    wait_for(process, 100)


def test_an_llm_that_is_away_for_an_hour_stops_its_search_alone_and_is_paid_once(make_space, prepared, monkeypatch):
    """It asks to come back in an hour, then nobody answers, then it is back. No run waits for that hour."""
    monkeypatch.setenv("TEST_LLM_KEY", "sk-not-a-key")
    agent = {"kind": "ra", "model": "openai:test-model", "api_key_env": "TEST_LLM_KEY"}
    agent |= {"max_retries": 1, "backoff_s": 0.01, "price": {"input": 2.0, "output": 10.0}}
    with ChatServer() as server:
        agent["base_url"] = f"{server.url}/v1"
        space = make_space(study(strategies={"ra": agent, "bo": STRATEGIES["bo"]}))
        space.begin_like(prepared)
        server.will(Reply("overloaded", status=503, headers={"Retry-After": "3600"}))
        said = space.run(profile="slurm", fails=True)
        assert "HTTP 503: overloaded; the server asks to wait 3600 s" in said
        assert len(server.requests) == 3, "one for each attempt of the job: the hour is not waited for by asking again"
        assert server.paid == 0
    assert (space.study / "bo/t0/trials_n1_s1.parquet").exists(), "the other search was stopped, too"
    before = space.journal()

    said = space.run(profile="slurm", fails=True)
    assert "the connection failed" in said
    assert not submitted(said)

    with ChatServer(server.port) as server:
        change = {"hypothesis": "smaller batches fit better", "rationale": "a guess", "changes": {"batch_size": 8}}
        server.will(Reply(json.dumps(change)))
        space.run(profile="slurm")
        assert server.paid == 1
    assert space.trials()["status"].to_list() == ["ok"] * 4
    assert before.items() <= space.journal().items()
