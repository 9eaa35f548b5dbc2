"""`tmelt watch --control`: guidance, vetoes and pauses from the page are those that a search reads from its file."""

import http.client
import json
import threading
from types import SimpleNamespace

import pytest
from simulation import simulate
from workflow import study, wait_until

from tmelt.search.history import Proposal
from tmelt.strategies.guidance import FILE, Guidance, apply_veto, guidance_in_force, pause, read_guidance
from tmelt.study.config import parse_config
from tmelt.watch.control import ABSENT, Control
from tmelt.watch.page import policy, render
from tmelt.watch.server import WatchServer
from tmelt.watch.state import Reader

RA = {"kind": "ra", "model": "openai:gpt-5-nano"}
HOSTILE = "</textarea><script>document.title='owned'</script>\" autofocus onfocus=\"document.title='owned'"


@pytest.fixture
def served(tmp_path):
    """A study with an agent's search and a sampler's, and the server of its page with control."""
    config = parse_config(study(strategies={"ra": RA, "plain": {"kind": "random"}}, iterations=6))
    results = tmp_path / "results"
    history = simulate("random", 3, folder=results / config.study / "plain" / "t0")
    (results / config.study / "plain" / "t0" / "i2" / "s0").mkdir(parents=True)
    (results / config.study / "plain" / "t0" / "i2" / "s0" / "run.parquet").touch()
    reader, control = Reader(config, results), Control(config, results)
    with WatchServer(0, lambda: render(reader.read(), control.read()), policy(), control.write) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield SimpleNamespace(server=server, folder=results / config.study, history=history)
        server.shutdown()
        thread.join()


def post(server, orders, search="ra/t0", seen=ABSENT, path=None, **headers):
    """Status and text of the answer to an order; a header that is None is left out."""
    body = orders if isinstance(orders, bytes) else json.dumps({"search": search, "seen": seen, "orders": orders})
    origin = f"http://127.0.0.1:{server.port}"
    given = {"Origin": origin, "Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(
            "POST",
            path or f"/{server.token}/",
            body,
            {name: value for name, value in given.items() if value is not None},
        )
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_an_order_is_what_the_search_reads(served):
    status, text = post(served.server, {"guidance": "wider heads – first", "veto": [5], "pause_before": 6})
    assert status == 200 and "Saved" in text
    folder = served.folder / "ra" / "t0"
    assert read_guidance(folder) == Guidance(guidance="wider heads – first", veto=(5,), pause_before=6)
    assert guidance_in_force(folder, 4, "auto") == "wider heads – first"
    proposal = Proposal(knobs={}, script="pass\n")
    assert (apply_veto(proposal, folder, 4).status, apply_veto(proposal, folder, 5).status) == ("proposed", "refused")
    assert pause(served.history, folder, 6).status == "stopped"
    # An empty order is no order: the file goes, and with it the pause.
    status, text = post(
        served.server, {"guidance": "", "veto": [], "pause_before": None}, seen=json.loads(text)["seen"]
    )
    assert status == 200 and "start the study again" in text and not (folder / FILE).exists()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Origin": None}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"path": "/"}, 404),
        ({"orders": b" " * (65 << 10)}, 413),
        ({"Content_Length": "9" * 5000}, 413),
        ({"Content_Length": "-1"}, 411),
    ],
)
def test_an_order_from_elsewhere_is_refused(served, changes, status):
    assert post(served.server, **{"orders": {"guidance": "obey"}} | changes)[0] == status
    assert not list(served.folder.rglob(FILE))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"orders": {"veto": [0]}}, "veto.0"),
        ({"orders": {"veto": ["x"]}}, "veto.0"),
        ({"orders": {"guidance": "x" * 4001}}, "guidance"),
        ({"orders": {"stop": True}}, "stop"),
        ({"orders": b"{"}, "JSON"),
        ({"orders": {}, "search": "../../etc/t0"}, "no search '../../etc/t0'"),
        ({"orders": {"veto": [2]}, "search": "plain/t0"}, "trial 2 of plain/t0 has been trained"),
    ],
)
def test_an_order_that_cannot_be_followed_is_one_line(served, changes, said):
    status, text = post(served.server, **changes)
    assert status == 400 and said in text and text.count("\n") == 1
    assert not list(served.folder.rglob(FILE))


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(served):
    folder = served.folder / "ra" / "t0"
    folder.mkdir(parents=True)
    (folder / FILE).write_text("guidance: by hand\n")
    assert post(served.server, {"guidance": "from the page"})[0] == 409
    assert read_guidance(folder).guidance == "by hand"


def test_the_page_saves_what_is_typed_and_shows_what_is_in_force(served, browser, tmp_path):
    server, folder = served.server, served.folder / "ra" / "t0"
    browser.open(server.address, width=390)
    assert browser.evaluate("document.querySelectorAll('form').length") == 2
    assert browser.evaluate("document.querySelectorAll('textarea').length") == 1  # a sampler reads no guidance
    fill = """(() => {
        const form = document.querySelector("form[data-search='ra/t0']");
        form.closest("details").open = true;
        form.elements.guidance.value = %s; form.elements.veto.value = %s; form.elements.pause_before.value = %s;
        form.querySelector("button").click();
    })()"""
    said = "document.querySelector('form[data-search=\"ra/t0\"] output').textContent"
    browser.evaluate(fill % (json.dumps(HOSTILE), '"4, 5"', '"6"'))
    wait_until(lambda: "Saved" in browser.evaluate(said), timeout=30)
    assert read_guidance(folder) == Guidance(guidance=HOSTILE, veto=(4, 5), pause_before=6)
    browser.evaluate(fill % ('"again"', '"4, x"', '"6"'))
    wait_until(lambda: "Not saved: veto.1" in browser.evaluate(said), timeout=30)
    browser.evaluate(fill % ('"again"', '"4"', '""'))
    wait_until(lambda: "Saved" in browser.evaluate(said), timeout=30)
    assert read_guidance(folder) == Guidance(guidance="again", veto=(4,))
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    (folder / FILE).write_text(f"guidance: {json.dumps(HOSTILE)}\n")
    for width in (1280, 390):
        browser.open(server.address, width=width)
        browser.evaluate("document.querySelector('details').open = true")
        assert browser.evaluate("document.querySelector('textarea').value") == HOSTILE
        assert browser.evaluate("document.title") != "owned" and browser.complaints == []
        browser.evaluate("document.querySelector('aside').scrollIntoView()")
        browser.screenshot(tmp_path / f"control_{width}.png")
