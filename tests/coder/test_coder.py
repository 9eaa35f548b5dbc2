"""Coding agents in real sandboxes: what a session makes, sees, costs and leaves, and what a replay of it does."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from other_target import SOLUBILITY, words_of_tm
from sessions import AGENT, CHANGE, a_history, context_for, shell
from small_data import RIDGE, small_harness
from test_prompts import forbidden, own_words
from workflow import wait_until

from tmelt.errors import InputError
from tmelt.harness.bench import Bench
from tmelt.llm.transcript import read_record, usage_of
from tmelt.report.coding_sessions import session_of
from tmelt.search.history import History
from tmelt.search.knobs import Space
from tmelt.search.notes import Branched
from tmelt.storage.files import read_json, write_text
from tmelt.strategies import propose
from tmelt.strategies.check_options import check_options
from tmelt.study.config import load_config, parse_config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "coder" / "t0"


@pytest.fixture
def history(folder):
    return a_history(folder)


def session(folder, number=3):
    return read_record(folder / f"i{number}" / "llm" / "01.json")["reply"]["raw"]


def told(folder, number=3):
    return (folder / f"i{number}" / "llm" / "01.log").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("warm_sandbox")
def test_a_shell_agent_checks_tries_and_proposes(history, folder, small_data):
    options = {"command": ["sh", str(AGENT)], "read": [str(AGENT)], "minutes": 2}
    bench = Bench(lambda: small_harness(*small_data))
    proposal = propose(history, context_for(folder, history, options, bench=bench))
    assert (proposal.status, proposal.origin, proposal.parent) == ("proposed", "agent", history.incumbent.iteration)
    assert proposal.script.endswith("# by the shell, trial 3\n") and proposal.knobs["epochs"] == 7
    assert (proposal.hypothesis, proposal.expected_effect) == ("more epochs help", -0.3)
    assert proposal.rationale == "The incumbent stops early (trial 3)."
    assert (proposal.cost_usd, proposal.llm_calls, proposal.tool_calls) == (0.25, 1, 2)
    assert proposal.tool_s > 0
    log = told(folder)
    for words in ("| trial |", "Trial 0: the baseline", "passed", "error on stop as the harness measured it"):
        assert words in log, log
    assert not (folder / "i3" / "workspace").exists()

    # A replay starts nothing: there is neither the agent nor a harness.
    replay = propose(history, context_for(folder, history, options, replay="strict"))
    proposal.write(folder / "i3")
    replay.write(folder / "again")
    for name in ("proposal.json", "train.py"):
        assert (folder / "again" / name).read_bytes() == (folder / "i3" / name).read_bytes()
    # So does a second try of a proposal that was killed after its session.
    assert propose(history, context_for(folder, history, options)) == proposal
    other = {**options, "prompt": "Do something else."}
    with pytest.raises(InputError, match=r"strict replay(.|\n)*-prompt: 'Read program"):
        propose(history, context_for(folder, history, other, replay="strict"))


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    from small_data import make_small_data

    return make_small_data(tmp_path_factory.mktemp("small"))


def test_what_is_no_candidate_is_refused_with_the_reason(history, folder):
    for command, words in [
        ("true", "neither the script nor a knob would change"),
        ("echo boom >&2; exit 3", r"ended with status 3; neither(.|\n)*boom"),
        ("echo 'def' > train.py", "the script is not Python"),
        ("echo '{' > knobs.json", "knobs.json: not valid JSON"),
        ("""echo '{"no_such": 1}' > knobs.json""", "no_such"),
        ("rm train.py", "train.py: missing"),
        ("ln -sf /etc/passwd train.py", "train.py: missing, not UTF-8 text, or too long"),
        (f"{CHANGE}; echo 'From: 99' > NOTES.md", "From: 99: expected the number of a trial that ran"),
    ]:
        proposal = propose(history, context_for(folder, history, shell(command), replay="off"))
        assert proposal.status == "refused", command
        assert re.search(words, proposal.error), (command, proposal.error)
        assert (proposal.script, proposal.knobs) == (RIDGE, history.incumbent.knobs)


def test_the_workspace_tells_the_search_and_starts_from_any_trial(history, folder):
    command = (
        "cat program.md CONTRACT.md history/0001/about.md; git log --format=%s main; git status --short;"
        f" git checkout -q trial/1 -- train.py knobs.json; {CHANGE}; echo 'From: 1' > NOTES.md"
    )
    proposal = propose(history, context_for(folder, history, shell(command)))
    assert (proposal.status, proposal.parent) == ("proposed", 1)
    assert proposal.knobs == history[1].knobs
    log = told(folder)
    assert "- objective: mean validation MAE in °C" in log and "Trial 3 of 12; 9 more after it." in log
    assert "# Trial 1\n\nstatus ok" in log and "\nTrial 0: the baseline, " in log
    assert " M " not in log  # the workspace begins as it was committed
    program = read_record(folder / "i3" / "llm" / "01.json")["request"]["messages"][0]["content"]
    assert "`task.budget_factor`" in program and "`sequences` in the task's facts" in program
    assert not {word for word, pattern in forbidden().items() if pattern.search(own_words(program))}


def test_a_topology_fixes_the_trial_that_a_session_builds_on(history, folder):
    other = next(trial.iteration for trial in history if trial.iteration != history[-1].incumbent)
    options = shell(f"cat program.md; {CHANGE}; echo 'From: {other}' > NOTES.md") | {"topology": "best_of_k"}
    proposal = propose(history, context_for(folder, history, options))
    assert proposal.status == "refused" and "which the search's topology fixes" in proposal.error
    assert proposal.parent == history[-1].incumbent
    assert proposal.state == (Branched(topology="best_of_k", parent=history[-1].incumbent),)
    log = told(folder)
    assert f"Trial {proposal.parent}, for proposal 1 of 4 from it." in log and "To start from another trial" not in log


def test_another_target_is_named_with_its_unit(history, folder):
    command = f"cat program.md history/summary.md history/0001/about.md; git log --all --format=%B; {CHANGE}"
    context = context_for(folder, history, shell(command))
    space, facts = Space().for_target(SOLUBILITY), {"objective": "validation MAE"}
    context = replace(context, target=SOLUBILITY, space=space, facts=facts)
    assert propose(history, context).status == "proposed"
    log = told(folder)
    assert "predictor of protein solubility (in %)" in log and not words_of_tm(log)


@contextmanager
def web(words):
    """A server on loopback that answers every request with `words`; yields its port and what it was asked."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    asked.append(client.recv(65536).decode())
                    body = words.encode()
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)


ATTACK = """
import os, socket, sys, urllib.request
def attempt(name, act):
    try: print(name, "->", act())
    except Exception as error: print(name, "-x", type(error).__name__)
hidden, secret, granted, other = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4]
get = lambda url: urllib.request.urlopen(url, timeout=5).read().decode()
attempt("granted", lambda: get(f"http://127.0.0.1:{granted}/x"))
os.environ["no_proxy"] = os.environ["NO_PROXY"] = ""
attempt("proxied", lambda: get(f"http://127.0.0.1:{granted}/x?y=1"))
attempt("refused", lambda: get(f"http://127.0.0.1:{other}/x"))
attempt("direct", lambda: socket.create_connection(("127.0.0.1", int(other)), 2))
attempt("outside", lambda: socket.create_connection(("192.0.2.1", 80), 2))
attempt("hidden", lambda: os.listdir(hidden))
attempt("secret", lambda: open(secret).read())
attempt("other key", lambda: os.environ["OTHER_KEY"])
attempt("own key", lambda: len(os.environ["OWN_KEY"]))
attempt("others", lambda: [p for p in os.listdir("/proc") if p.isdigit() and int(p) > 60])
attempt("write", lambda: open("/usr/hole", "w"))
attempt("home", lambda: os.listdir(os.path.expanduser("~")))
attempt("root", lambda: os.setuid(0))
print(os.environ["OWN_KEY"])
"""


def test_an_agent_is_confined_but_for_what_it_is_granted(history, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("OWN_KEY", "sk-own-0123456789")
    monkeypatch.setenv("OTHER_KEY", "sk-other-0123456789")
    write_text(tmp_path / "secret", "label")
    write_text(tmp_path / "home" / ".login", "logged in")
    write_text(tmp_path / "tool" / "attack.py", ATTACK)
    with web("hello") as (granted, asked), web("never") as (other, never):
        words = [str(folder), str(tmp_path / "secret"), str(granted), str(other)]
        options = {
            "command": [sys.executable, str(tmp_path / "tool" / "attack.py"), *words],
            "tools": "none", "read": [str(tmp_path / "tool")], "env": ["OWN_KEY"],
            "network": [f"127.0.0.1:{granted}"], "home": str(tmp_path / "home"),
        }  # fmt: skip
        propose(history, context_for(folder, history, options))
    log = told(folder)
    lines = dict(line.split(" -", 1) for line in log.splitlines() if " ->" in line or " -x" in line)
    allowed = {name: line[2:] for name, line in lines.items() if line.startswith(">")}
    assert allowed == {
        "granted": "hello", "proxied": "hello", "own key": "17", "home": "['.login']", "others": "[]",
    }, log  # fmt: skip
    assert len(lines) == 13, log
    assert asked[1].startswith("GET /x?y=1 HTTP/1.1\r\n") and never == []
    assert f"refused: 127.0.0.1:{other}, 1 times" in log
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"sk-own" not in path.read_bytes(), path
    options["read"] = [str(tmp_path)]
    with pytest.raises(InputError, match="which no coding agent may see"):
        propose(history, context_for(folder, history, options, replay="off"))


@pytest.mark.parametrize(
    ("options", "command", "status"),
    [
        ({"minutes": 0.02}, f"{CHANGE}; sleep 60", "timeout"),
        (
            {"memory_mb": 150},
            f"{sys.executable} -c \"import time; x = b'x' * (400 << 20); time.sleep(60)\"",
            "memory",
        ),
        ({"disk_mb": 10}, "head -c 20000000 /dev/zero > big; sleep 60", "disk"),
        ({"processes": 8}, "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait", "processes"),
    ],
)
def test_limits_end_a_session(options, command, status, history, folder):
    proposal = propose(history, context_for(folder, history, {**shell(command), **options}))
    assert session(folder)["session"]["status"] == status
    if CHANGE in command:  # what it left counts
        assert proposal.status == "proposed" and proposal.script.endswith("# changed\n")
    else:
        assert f"ended at its limit ({status}); neither" in proposal.error


def killed(folder, command):
    """Kill a process that proposes, once its agent has begun; the agent ends with it."""
    program = Path(__file__).with_name("sessions.py")
    process = subprocess.Popen([sys.executable, program, str(folder), command], start_new_session=True)
    begun = folder / "i3" / "workspace" / "begun"
    wait_until(lambda: begun.exists() and begun.read_text().strip())
    process.send_signal(signal.SIGKILL)
    process.wait()
    sleeping = f"sleep\0{begun.read_text().strip()}\0".encode()
    wait_until(lambda: not any(sleeping in line for line in command_lines()))


def command_lines():
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                yield (entry / "cmdline").read_bytes()


@pytest.mark.slow
def test_a_killed_session_is_not_paid_twice(tmp_path):
    """What it left is used where it holds a change; otherwise it begins again, and the lost session counts."""
    for name, first, calls, status in [("changed", f"{CHANGE};", 1, "interrupted"), ("unchanged", "", 2, "ok")]:
        folder = tmp_path / name / "t0"
        number = f"61{calls}.{os.getpid()}"
        command = f"if [ -e /workspace/never ]; then exit 9; fi; {first} echo {number} > begun; sleep {number}"
        killed(folder, command)
        history = a_history(folder)
        pending = folder / "i3" / "llm" / "01.pending.json"
        assert pending.exists()
        options = shell(command)
        if not first:
            options |= {"minutes": 0.03}
        proposal = propose(history, context_for(folder, history, options))
        assert not pending.exists()
        usage = usage_of(folder / "i3" / "llm")
        assert (usage.calls, usage.cost_usd) == (calls, None)
        found = session(folder)["session"]["status"]
        assert found == (status if first else "timeout")
        assert proposal.status == ("proposed" if first else "refused")
        assert proposal == propose(history, context_for(folder, history, options, replay="strict"))


def test_budgets_end_a_search(tmp_path):
    paid = """echo '{"total_cost_usd": 0.4, "num_turns": 7}'"""
    for budget, price, reason in [
        ({"usd": 0.7}, paid, "the budget of 0.7 dollars is spent (0.8000 used)"),
        ({"calls": 14}, paid, "the budget of 14 calls is spent (14 used)"),
        ({"calls": 2}, "true", "the budget of 2 calls is spent (2 used)"),
        ({"usd": 5}, "true", "budget.usd: 1 sessions did not report what they cost"),
    ]:
        folder = tmp_path / f"{price[:4]}{budget}" / "t0"
        history = a_history(folder, 1)
        options = {
            **shell(f"echo \"# $0\" >> train.py; [ -n '{{usd_left}}' ] && echo left {{usd_left}}; {price}"),
            "budget": budget,
        }
        for _ in range(3):
            proposal = propose(history, context_for(folder, history, options))
            if proposal.status == "stopped":
                break
            proposal.write(folder / f"i{len(history)}")
            row = {**history[-1].row, "iteration": len(history), "origin": "agent", "llm_calls": 1}
            history = History([*history, type(history[-1]).of(row)])
        assert proposal.status == "stopped" and reason in proposal.error, proposal.error
        if price == paid and "usd" in budget:
            assert "left 0.3000" in told(folder, 3)


def test_options_are_checked_before_a_study_begins(monkeypatch, tmp_path):
    raw = load_config(ROOT / "config.yaml").model_dump(mode="json")
    for options, words in [
        ({}, "strategies.mine.command: Field required"),
        ({"command": ["x"], "network": ["http://api.example.org"]}, "write host, host:port or"),
        ({"command": ["x"], "env": ["sk-secret value"]}, "write the variable's name"),
        ({"command": ["x"], "env": ["NOT_SET_ANYWHERE"]}, "NOT_SET_ANYWHERE is not set"),
        ({"command": ["x"], "read": ["/no/such"]}, "/no/such: no such file"),
        ({"command": ["x"], "model": "playbook"}, "model"),
    ]:
        raw["extent"]["strategies"] = {"mine": {"kind": "coder", **options}}
        with pytest.raises(InputError, match=words):
            config = parse_config(raw)
            check_options("mine", "coder", config.extent.strategies["mine"].options, config)
    raw["design"]["sandbox"] = "landlock"
    config = parse_config(raw | {"extent": {"strategies": {"mine": {"kind": "coder", "command": ["x"]}}}})
    with pytest.raises(InputError, match="landlock cannot confine a coding agent"):
        check_options("mine", "coder", {"command": ["x"]}, config)


def test_a_command_that_is_not_there_costs_no_trial(history, folder):
    with pytest.raises(InputError, match="no-such-tool: No such file or directory inside the sandbox"):
        propose(history, context_for(folder, history, {"command": ["no-such-tool"], "tools": "none"}))
    assert not list((folder / "i3" / "llm").glob("*.json"))


def test_what_a_tool_reports_is_taken_from_its_file(history, folder):
    report = {"info": {"model_stats": {"instance_cost": 1.5, "api_calls": 9}, "mini_version": "2.4 <b>"}}
    options = shell(f"{CHANGE}; echo '{json.dumps(report)}' > out.json") | {
        "reported": {
            "file": "out.json", "cost_usd": "info.model_stats.instance_cost", "calls": "info.model_stats.api_calls",
            "version": "info.mini_version",
        }
    }  # fmt: skip
    proposal = propose(history, context_for(folder, history, options))
    assert (proposal.cost_usd, proposal.prompt_tokens) == (1.5, None)
    record = read_json(folder / "i3" / "llm" / "01.json")
    assert record["usage"]["model_calls"] == 9 and (folder / "i3" / "llm" / "01.report").exists()

    study = SimpleNamespace(folder=folder.parent.parent, trial_folder=lambda name, t, i: folder / f"i{i}")
    held = session_of(study, "coder", 0, 3)
    assert (held.status, held.exit, held.calls, held.tokens, held.cost_usd) == ("ok", 0, 9, None, 1.5)
    assert (held.version, held.log) == ("2.4 <b>", "coder/t0/i3/llm/01.log")
    assert "9 calls, $1.50, version 2.4 <b>, log coder/t0/i3/llm/01.log" in held.words
    assert session_of(study, "coder", 0, 2) is None
