"""The page of `tmelt watch`, served to a real browser from a simulated study that goes on meanwhile."""

import http.client
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from patience import wait_for
from simulation import simulate, write_history
from workflow import study, wait_until

from tmelt.errors import InputError
from tmelt.search.history import History, Proposal
from tmelt.study.config import parse_config
from tmelt.study.lock import hold
from tmelt.watch.page import policy, render
from tmelt.watch.server import WatchServer
from tmelt.watch.state import Reader

LAST = 12
HOSTILE = (
    "</p></main><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<style>main{display:none}</style><meta http-equiv=refresh content='0;url=http://127.0.0.1:1/'>"
    "\x1b]0;owned\x07 \u202eowned"
)
AGENT = {"kind": "ra", "model": "openai:gpt-5-nano", "budget": {"usd": 2.0}}


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    """Two simulated searches with their proposals."""
    root = tmp_path_factory.mktemp("simulated")
    return {
        name: (simulate("random", LAST, folder=root / name, trajectory=n), root / name) for n, name in enumerate("ab")
    }


@pytest.fixture
def running(tmp_path, searches):
    """A study in the middle: search a has 8 trials, b was stopped, and the newest proposal is hostile."""
    raw = study(strategies={"a": AGENT, "b": {"kind": "random"}}, iterations=LAST) | {"title": f"Title {HOSTILE}"}
    space = SimpleNamespace(config=parse_config(raw), raw=raw, results=tmp_path / "results", searches=searches)
    score(space, "a", *range(9))
    trials = searches["b"][0]
    crashed = {"status": "crash", "val_mae": None, "incumbent": trials[2].incumbent}
    failed = [replace(trial, **crashed, error=f"ValueError: {HOSTILE}") for trial in trials[3:5]]
    stop = replace(trials[5], status="stopped", val_mae=None, error=f"the budget is spent {HOSTILE}")
    score(space, "b", *range(3))
    score(space, "b", 3, 4, 5, history=[*trials[:3], *failed, stop])
    parent = Proposal.read(searches["a"][1] / "i8")
    knobs = dict(parent.knobs) | {"learning_rate": 0.0123}
    script = parent.script + f"\n# {HOSTILE}\n"
    latest = replace(parent, knobs=knobs, script=script, parent=8, rationale=HOSTILE, hypothesis=HOSTILE)
    latest.write(tmp_path / "results" / space.config.study / "a" / "t0" / "i9")
    space.lock = hold(space.results / space.config.study, space.config.study)
    yield space
    space.lock.release()


def score(space, strategy, *iterations, history=None):
    """Put the files of these trials there."""
    trials, source = space.searches[strategy]
    for number in iterations:
        folder = space.results / space.config.study / strategy / "t0" / f"i{number}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "proposal.json").exists():
            Proposal.read(source / f"i{number}").write(folder)
        write_history(folder / "history.parquet", History((history or trials)[: number + 1]))


@pytest.fixture
def served(running):
    """The study's page, and its server."""
    reader = Reader(running.config, running.results)
    with WatchServer(0, lambda: render(reader.read()), policy()) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield SimpleNamespace(server=server, study=running)
        server.shutdown()
        thread.join()


def ask(server, path, method="GET", **headers):
    """Status, headers and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def test_only_the_token_on_loopback_opens_the_page(served):
    server, page = served.server, f"/{served.server.token}/"
    assert server.server_address[0] == "127.0.0.1" and len(server.token) >= 32
    status, headers, text = ask(server, page)
    assert status == 200 and "Incumbents" in text
    assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
    assert "unsafe-inline" not in headers["Content-Security-Policy"].partition("script-src")[2].partition(";")[0]
    for path in (
        "/",
        f"/{server.token}",
        f"/{server.token}x/",
        "/../etc/passwd",
        f"/{server.token}/../x",
        "/favicon.ico",
    ):
        assert ask(server, path)[0] == 404, path
        assert server.token not in ask(server, path)[2]
    assert ask(server, page, Host="evil.example:80")[0] == 403
    assert ask(server, page, Host="localhost:9999")[0] == 200  # a tunnel's own port
    assert ask(server, page, "HEAD")[::2] == (200, "")
    for method in ("POST", "PUT", "DELETE"):
        assert ask(server, page, method, Origin=f"http://127.0.0.1:{server.port}")[0] == 501
    assert "<form" not in text and "control" not in text


def test_the_page_shows_the_study_and_nothing_of_it_becomes_markup(served, browser, tmp_path):
    server = served.server
    for width in (1280, 390):
        browser.open(server.address, width=width)
        text = browser.evaluate("document.body.innerText")
        for words in (
            "trials 14 of 18", "a t0", "9/13", "stopped after 5 trials: the budget is spent", "learning_rate",
            "0.0123", "Latest proposal: a t0, trial 9", "of at most $2.00", "Script:", "lines added",
        ):  # fmt: skip
            assert words in text, words
        assert text.count("document.title='owned'") >= 6  # title, alert, outcomes, rationale, hypothesis, script
        assert browser.evaluate("document.title") != "owned" and "\\u202eowned" in text and "\\x1b" in text
        assert browser.evaluate("document.querySelectorAll('main script, main img, main style, main meta').length") == 0
        assert browser.evaluate("document.querySelectorAll('.drawing svg').length") == 1
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.complaints == [] and browser.requests == []
        browser.screenshot(tmp_path / f"watch_{width}.png")


def test_a_trial_that_arrives_appears_without_a_reload(served, browser):
    browser.open(served.server.address)
    browser.evaluate("window.still_here = 1")
    score(served.study, "a", 9)
    wait_until(lambda: "trials 15 of 18" in browser.evaluate("document.body.innerText"), timeout=30)
    assert browser.evaluate("window.still_here") == 1
    served.study.lock.release()
    wait_until(lambda: "no process runs this study" in browser.evaluate("document.body.innerText"), timeout=30)
    assert browser.complaints == []


def test_a_taken_port_is_one_line():
    with WatchServer(0, str, "") as server, pytest.raises(InputError, match=f"--port: {server.port}: cannot be used"):
        WatchServer(server.port, str, "")
    with pytest.raises(InputError, match="--port: 70000"):
        WatchServer(70000, str, "")


def test_a_study_that_cannot_be_read_just_now_is_an_answer(capfd):
    def damaged():
        raise InputError("history.parquet: damaged")

    with WatchServer(0, damaged, policy()) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert ask(server, f"/{server.token}/")[0] == 503
        server.shutdown()
    said = capfd.readouterr().err
    assert said == "InputError: history.parquet: damaged\n"


def test_the_command_prints_its_address_and_ends_with_ctrl_c(running):
    path = running.results.parent / "study.yaml"
    path.write_text(yaml.safe_dump(running.raw))
    command = [sys.executable, "-m", "tmelt", "watch", path, "--port", "0", "--results", running.results]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:") and "ssh -L" in process.stdout.readline()
        process.send_signal(2)
        assert wait_for(process, 60) == 0
    finally:
        process.kill()
        process.stdout.close()
