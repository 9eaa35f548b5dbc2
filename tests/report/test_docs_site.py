"""The documentation is built in strict mode, and in a browser it is complete, quiet and readable without network."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest
from needs import need
from once import value_once
from test_config import ROOT

pytestmark = pytest.mark.slow  # a drawn page, a built site and a browser


@pytest.fixture(scope="session")
def site(page, tmp_path_factory):
    """The built site, with the tests' own report as the sample."""
    need(importlib.util.find_spec("mkdocs"), "MkDocs is not installed: make docs")

    def build(folder):
        environment = os.environ | {"TMELT_SAMPLE_REPORT": str(page.parent), "NO_MKDOCS_2_WARNING": "1"}
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder / "site")]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return folder / "site"

    return value_once(tmp_path_factory, "docs", build)


def pages(site):
    return sorted(path for path in site.rglob("*.html") if "sample" not in path.parts and path.name != "404.html")


def text_of(site, name):
    return re.sub(r"<[^>]+>", "", (site / f"{name}.html").read_text(encoding="utf-8"))


def test_every_page_is_quiet_offline_and_not_wider_than_a_phone(site, browser):
    assert len(pages(site)) > 20
    for path in pages(site):
        browser.open(path, width=390)
        assert browser.complaints == [], path
        assert [url for url in browser.requests if not url.startswith("file:")] == [], path
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390, path
        broken = "[...document.images].filter(one => one.complete && !one.naturalWidth).map(one => one.src)"
        assert browser.evaluate(broken) == [], path


def test_the_search_finds_without_a_server(site, browser):
    browser.open(site / "index.html")
    browser.ask("Emulation.setFocusEmulationEnabled", enabled=True)
    found = browser.evaluate(
        """(async () => {
            const field = document.querySelector(".md-search__input");
            field.focus();
            field.value = "early-stopping";
            field.dispatchEvent(new Event("input", { bubbles: true }));
            field.dispatchEvent(new KeyboardEvent("keyup", { bubbles: true }));
            for (let wait = 0; wait < 100; wait++) {
                await new Promise((done) => setTimeout(done, 100));
                const links = [...document.querySelectorAll(".md-search-result__item a")];
                if (links.length) return links.map((link) => link.href);
            }
            return [];
        })()"""
    )
    assert any("concepts.html" in link or "llm.html" in link for link in found)
    assert browser.complaints == []


def test_the_home_page_shows_a_result_that_is_marked_as_simulated(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    assert "sample/incumbents_trials.svg" in home and (site / "sample" / "report.html").is_file()
    assert "study is simulated" in home


def test_the_reference_names_every_key_knob_table_and_command(site):
    from tmelt.cli import main
    from tmelt.evidence.make import TABLES
    from tmelt.search.knobs import KNOBS
    from tmelt.strategies.registry import built_in_kinds
    from tmelt.study.config import Config, Data, Runtime

    keys = text_of(site, "reference/config")
    assert all(name in keys for model in (Config, Data, Runtime) for name in model.model_fields)
    assert all(knob.name in text_of(site, "reference/knobs") for knob in KNOBS)
    kinds = (text_of(site, "reference/strategies"), text_of(site, "concepts"))
    assert all(name in page for name in built_in_kinds() for page in kinds)
    tables = text_of(site, "reference/tables")
    assert all(column in tables for schema in TABLES.values() for column in schema.names)
    listed = subprocess.run(
        [sys.executable, "-m", main.__module__.partition(".")[0], "--help"], capture_output=True, text=True
    )
    commands = re.findall(r"^    (\w+) ", listed.stdout, re.MULTILINE)
    assert len(commands) >= 7
    assert all(f"tmelt {name}" in text_of(site, "reference/cli") for name in commands)
