"""The page in a real browser: quiet, offline, as wide as the window, usable, and deaf to what models write into it."""

import json
import re

import pytest
from small_studies import edit_facts, edit_json, edit_table, make_study, with_key
from study_records import revision

from tmelt.llm.transcript import write_record
from tmelt.storage.files import sha256_text, write_text
from tmelt.storage.records import to_json
from tmelt.storage.schema import CLEANING, write_table

pytestmark = pytest.mark.slow  # a drawn page and a browser: 11 CPU seconds before the first test

PAYLOAD = (
    "</script></style></textarea><script>window.hit=1</script>"
    '<img src=x onerror="window.hit=1"><svg onload="window.hit=1">'
)
MARK = "window.hit=1"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 700, 390])
def test_quiet_offline_and_not_wider_than_the_window(browser, page, width, scheme):
    browser.open(page, width=width, scheme=scheme)
    browser.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert browser.complaints == []
    assert browser.requests == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    smallest = browser.evaluate(
        "Math.min(...[...document.querySelectorAll('figure svg.chart')].filter(one => one.checkVisibility()).map(one =>"
        " 11 * one.getBoundingClientRect().width / one.viewBox.baseVal.width))"
    )  # height of the figures' smallest type in pixels
    assert smallest >= (6.9 if width < 500 else 9)


def test_charts_follow_the_colour_scheme(browser, page):
    colours = []
    for scheme in ("light", "dark"):
        browser.open(page, scheme=scheme)
        colours.append(
            browser.evaluate(
                "[getComputedStyle(document.body).backgroundColor,"
                " getComputedStyle(document.querySelector('#figure-ranking text')).fill,"
                " getComputedStyle(document.querySelector('#figure-ranking svg > rect')).fill]"
            )
        )
    light, dark = colours
    assert light[0] == light[2] and dark[0] == dark[2]
    assert all(one != other for one, other in zip(light, dark, strict=True))


def test_pointing_at_a_trial_tells_about_it_and_clicking_opens_it(browser, whole, page):
    row = whole.read()["trials"].filter(strategy="ra", status="ok").filter(iteration=3).row(0, named=True)
    target = f"trial-ra-t{row['trajectory']}-i3"
    browser.open(page)
    x, y = browser.evaluate(
        f"(() => {{ const mark = document.querySelector('#figure-trials a[href=\"#{target}\"] path');"
        " mark.scrollIntoView({block: 'center'}); const box = mark.getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    tip = browser.evaluate("document.getElementById('tip').innerText")
    marked = re.match(r"(\w+) · search (\d+), trial (\d+)", tip)
    assert marked, tip
    for kind in ("mousePressed", "mouseReleased"):
        browser.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    browser.evaluate("new Promise(done => setTimeout(done, 100))")
    opened = browser.evaluate("location.hash.slice(1)")
    assert opened == f"trial-{marked[1]}-t{marked[2]}-i{marked[3]}"
    assert browser.evaluate(f"document.getElementById('{opened}').open")
    assert browser.evaluate(f"document.getElementById('{opened}').checkVisibility()")


def test_a_link_from_outside_opens_the_folded_trial(browser, page):
    browser.open(page, fragment="#trial-ua-t1-i2")
    assert browser.evaluate("document.getElementById('trial-ua-t1-i2').checkVisibility()")


def test_axis_tabs_and_the_filter_of_trials(browser, page):
    browser.open(page)
    first, second = "figure-incumbents_trials", "figure-incumbents_fit_s"
    visible = "document.getElementById('{}').checkVisibility()"
    assert browser.evaluate(visible.format(first)) and not browser.evaluate(visible.format(second))
    browser.evaluate("document.querySelector('label[for=axis-2]').click()")
    assert browser.evaluate(visible.format(second)) and not browser.evaluate(visible.format(first))
    browser.evaluate("document.querySelector('[data-show=failed]').click()")
    statuses = browser.evaluate(
        "[...document.querySelectorAll('details.trial')].filter(one => one.checkVisibility())"
        ".map(one => one.querySelector('.badge').textContent)"
    )
    assert statuses and set(statuses) <= {"crash", "timeout", "refused"}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A study in which everything that a model, a candidate or a table can write is an attack on the page."""
    made = make_study(tmp_path_factory.mktemp("hostile"), strategies=("ra", "ua"), trajectories=1, iterations=6)
    study = made.read()
    own = {"name": PAYLOAD, "rationale": PAYLOAD, "hypothesis": PAYLOAD, "transcripts": ["01.json"]}
    for row in study["trials"].iter_rows(named=True):
        folder = study.trial_folder(row["strategy"], row["trajectory"], row["iteration"])
        script = (folder / "train.py").read_text(encoding="utf-8")
        write_text(folder / "train.py", f"{script}\n# {row['iteration']} {PAYLOAD}\nx = '''{PAYLOAD}'''\n")
        write_record(
            folder / "llm" / "01.json",
            {
                "purpose": PAYLOAD,
                "request": {"model": PAYLOAD},
                "reply": {"text": PAYLOAD},
                "usage": {"prompt_tokens": 1, "completion_tokens": 1},
                "cost_usd": 0.0,
            },
        )

    def trial(row):
        knobs = with_key(row["knobs"], **{PAYLOAD: PAYLOAD})
        return row | {
            "proposal": with_key(row["proposal"], **own), "knobs": knobs, "error": PAYLOAD,
            "script": sha256_text(str(row["iteration"])), "origin": PAYLOAD if row["iteration"] == 2 else row["origin"],
        }  # fmt: skip

    edit_table(made, "trials", trial)
    edit_table(made, "winners", lambda row: row | {"knobs": json.dumps({PAYLOAD: PAYLOAD}), "note": PAYLOAD})
    edit_table(made, "failures", lambda row: row | {"error": PAYLOAD, "reason": PAYLOAD})
    edit_table(made, "improvements", lambda row: row | {"change": PAYLOAD, "part": PAYLOAD, "diff": PAYLOAD})
    edit_table(made, "importance", lambda row: row | {"knob": row["knob"] + PAYLOAD})
    edit_table(made, "floors", lambda row: row | {"label": row["name"] + PAYLOAD})
    edit_table(made, "subgroups", lambda row: row | {"group": row["group"] + PAYLOAD})
    edit_table(
        made, "generalisation", lambda row: row | {"note": PAYLOAD, "organism": (row["organism"] or "") + PAYLOAD}
    )
    edit_table(made, "power", lambda row: row | {"note": PAYLOAD})
    edit_table(made, "cost", lambda row: row | {"note": PAYLOAD})
    edit_table(made, "runs", lambda row: row | {"host_cpu": PAYLOAD, "device": PAYLOAD})
    design = to_json(study.protocol.design)
    design["knobs"][0]["meaning"] = PAYLOAD
    edit_json(made.paths["protocol"], title=PAYLOAD, design=design, revisions=to_json([revision(PAYLOAD)]))
    edit_facts(made, description=PAYLOAD, organisms={PAYLOAD: {"fit": 1}}, files={PAYLOAD: PAYLOAD})
    edit_json(made.study / "ua" / "strategy.json", options={"model": PAYLOAD, PAYLOAD: PAYLOAD})
    write_table(
        made.data / "cleaning.parquet",
        [{"step": 1, "what": PAYLOAD, "decision": PAYLOAD, "rows": 1, "left": 1}],
        CLEANING,
    )
    return made.report(tmp_path_factory.mktemp("hostile-report"))


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_that_a_model_writes_runs(browser, hostile, width):
    browser.open(hostile, width=width)
    browser.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    for mark in range(3):
        browser.evaluate(
            "(() => { const marks = document.querySelectorAll('svg.chart [class*=role-mark] path[aria-label]');"
            f" const one = marks[Math.floor(marks.length * {mark} / 3)];"
            " one.dispatchEvent(new PointerEvent('pointerover', {bubbles: true})); })()"
        )
    browser.evaluate("new Promise(done => setTimeout(done, 200))")
    assert browser.evaluate("window.hit") is None
    assert (
        browser.evaluate("document.querySelectorAll('img, iframe, object, embed, svg[onload], [onerror]').length") == 0
    )
    assert browser.evaluate("document.scripts.length") == 1
    handlers = (
        "[...document.querySelectorAll('*')].filter(one => [...one.attributes].some(a => a.name.startsWith('on')))"
    )
    assert browser.evaluate(f"{handlers}.length") == 0
    assert browser.complaints == [] and browser.requests == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    shown = browser.evaluate("document.body.innerText")
    assert shown.count(MARK) > 30, "the texts themselves are shown"
    assert browser.evaluate("document.title").startswith("</script>")


def test_hostile_texts_do_not_break_the_drawings(hostile):
    import xml.etree.ElementTree as ElementTree

    for path in (hostile.parent / "figures").glob("*.svg"):
        names = {element.tag.split("}")[-1] for element in ElementTree.parse(path).iter()}
        assert not names & {"script", "img", "image", "foreignObject"}, path.name
