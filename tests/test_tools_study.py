"""A study of an agent with tools, of one without, over real HTTP, and of a coding agent that is a shell script.

Crashes, cost, and replays without network: of the study's own proposals, and as another study.
"""

import json
import re
import shutil
import subprocess
import sys

import polars as pl
import pytest
from workflow import REPOSITORY, Workspace, study

sys.path.append(str(REPOSITORY / "tests" / "harness"))

from llm.server import ChatServer, Reply, answer_to_probe
from needs import need_backend
from small_data import RIDGE
from test_unleashed_study import written

from tmelt.cli import main
from tmelt.llm.transcript import read_record
from tmelt.verify.group import Group
from tmelt.verify.place import Place
from tmelt.verify.replay import check_proposals

pytestmark = pytest.mark.slow
AGENT = REPOSITORY / "tests" / "coder" / "agent.sh"
TYPO = RIDGE.replace("np.linalg.solve", "np.linalg.sovle")
REPORTING = RIDGE.replace('print("ridge', 'task.report(weights=len(w))\n    print("ridge')


def called(name, arguments):
    """A reply that calls a native tool."""
    call = {"name": name, "arguments": json.dumps(arguments)}
    calls = [{"id": "call_1", "type": "function", "function": call}]
    return Reply(message={"content": None, "tool_calls": calls}, finish="tool_calls")


def careless(request):
    """A model that misspells a name in every other trial, and corrects it when it is told."""
    body = request["body"]
    messages = body["messages"]
    if (reply := answer_to_probe(request)) is not None:
        return called("note", {"word": "heliotrope"}) if "tools" in body else reply
    trial = int(re.search(r"^# Trial (\d+)", messages[1]["content"], re.MULTILINE)[1])
    good, last = f"{REPORTING}# {trial}\n", messages[-1]
    if "tools" in body and trial == 2 and last["role"] == "user":
        return called("try_out", {"script": good, "share": 0.5, "seconds": 4})
    if "did not pass" in last["content"]:
        return written(good)
    return written(f"{TYPO}# {trial}\n" if trial % 2 else good)


def replayed(space, folder):
    """A study of its own that takes the replies of two agents from an archive, for one trial, with the same data."""
    main(["export", "transcripts", str(space.study), "--output", str(folder)])
    chosen = space.config["extent"]["strategies"]
    config = study(iterations=1, strategies={name: chosen[name] for name in ("with_tools", "coder")})
    config |= {"study": "again", "design": space.config["design"]}
    again = Workspace(folder, config | {"replay_from": "tools_transcripts.zip"})
    for part in ("data", "embeddings"):
        shutil.copytree(space.folder / "results" / part, folder / "results" / part)
    again.run()
    return again


def test_a_check_saves_trials_and_a_replay_needs_neither_network_nor_sandbox(tmp_path, monkeypatch):
    need_backend("bwrap")  # of the coding agent
    monkeypatch.setenv("TEST_LLM_KEY", "sk-planted-secret")
    with ChatServer(model=careless) as server:
        agent = {
            "kind": "ua", "model": "openai:test-model", "base_url": f"{server.url}/v1", "api_key_env": "TEST_LLM_KEY",
            "price": {"input": 2.0, "output": 10.0}, "repairs": 0,
        }  # fmt: skip
        tools = {"calls": 4, "device_s": 20}
        shell = {"kind": "coder", "command": ["sh", str(AGENT)], "read": [str(AGENT)], "variables": {"EPOCHS": "3"}}
        strategies = {"without": agent, "with_tools": {**agent, "tools": tools}, "coder": {**shell, "tools": "none"}}
        config = study(iterations=3, confirm_seeds=1, strategies=strategies) | {"study": "tools"}
        config["design"]["budget"] |= {"fit_s": 8, "predict_s": 5}
        space = Workspace(tmp_path / "space", config)
        space.run(targets=["all"], timeout=3000)

    trials = pl.concat([pl.read_parquet(space.folder / name, hive_partitioning=False) for name in space.searches])
    arms = {name: trials.filter(pl.col("strategy") == name).sort("iteration") for name in strategies}
    statuses = {name: part["status"].to_list() for name, part in arms.items()}
    assert statuses == {
        "without": ["ok", "crash", "ok", "crash"], "with_tools": ["ok"] * 4, "coder": ["ok", "ok", "refused", "ok"],
    }  # fmt: skip
    # A check that fails and one that passes; one try; one more pair.
    assert arms["with_tools"]["tool_calls"].to_list() == [0, 2, 1, 2] and arms["without"]["tool_calls"].sum() == 0
    assert "weights" in arms["with_tools"]["diagnostics"][2]
    spent = arms["with_tools"].select(pl.sum("tool_s", "tool_cpu_s")).row(0)
    cost = {row["strategy"]: row for row in pl.read_parquet(space.study / "tables" / "cost.parquet").to_dicts()}
    assert cost["without"]["tool_s"] == 0 and cost["with_tools"]["tool_s"] == pytest.approx(spent[0])
    assert cost["with_tools"]["cpu_s"] == pytest.approx(arms["with_tools"]["cpu_s"].sum() + spent[1])
    runs = pl.read_parquet(space.study / "tables" / "runs.parquet").filter(pl.col("strategy") == "with_tools")
    paid = {name: row["compute_usd"] for name, row in cost.items()}
    per_second = paid["without"] / arms["without"]["cpu_s"].sum()
    assert paid["with_tools"] == pytest.approx((runs["cpu_s"].sum() + spent[1]) * per_second, rel=0.02)
    print({name: (part.count("crash"), part) for name, part in statuses.items()}, spent, paid)
    record = read_record(space.study / "with_tools/t0/i2/llm/01.json")
    assert record["request"]["tools"] and record["reply"]["tool_calls"] == ["try_out"]
    page = (space.study / "report" / "report.html").read_text()
    assert "of checks and tries" in page and "reported by the script" in page and "MAE on stop by group" in page

    place = Place.of(space.study)  # the server is gone
    group = Group("proposals", place.results)
    check_proposals(group, place)
    assert group.checked > 0 and not group.differences, group.differences

    again = replayed(space, tmp_path / "again")
    for strategy in ("with_tools", "coder"):
        for name in ("proposal.json", "train.py"):
            paths = [each.study / strategy / "t0" / "i1" / name for each in (space, again)]
            assert paths[0].read_bytes() == paths[1].read_bytes(), paths

    main(["export", "git", str(space.study), "--output", str(tmp_path / "git")])
    log = subprocess.run(
        ["git", "-C", tmp_path / "git" / "coder_t0", "log", "--all", "--format=%s%n%b"], capture_output=True, text=True
    ).stdout
    assert "Hypothesis: more epochs help" in log and "Trial 2: discard, refused" in log
