"""The page's HTML from a study's state; every text of the study is escaped by the template."""

import base64
import hashlib
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from tmelt.report.code import Diff, diff_scripts, syntax_css
from tmelt.report.templates import page_environment
from tmelt.study.status import span
from tmelt.watch.control import Overseen
from tmelt.watch.figure import incumbents
from tmelt.watch.state import Latest, State

_HERE = Path(__file__).parent
_STYLE = _HERE.parent / "report" / "style.css"
_DIFF_ROWS = 80
_TEXT = 4000  # characters of a rationale


def render(state: State, overseen: Iterable[Overseen] | None = None) -> str:
    """Return the page; with `overseen`, the searches to oversee, it has a form for each."""
    target = state.config.design.data.target.record
    return _template().render(
        state=state,
        title=state.config.title or state.config.study,
        style=Markup(_style()),
        script=Markup(_script("page.js")),
        control_script=Markup(_script("control.js")),
        overseen=None if overseen is None else list(overseen),
        figure=incumbents([arm.search for arm in state.arms], target),
        target=target,
        diff=_diff(state.latest) if state.latest else None,
        text_limit=_TEXT,
        clock=lambda moment: time.strftime("%H:%M:%S", time.localtime(moment)),
        span=span,
    )


def policy() -> str:
    """Return the Content-Security-Policy: our scripts by their hashes, requests to this server, and nothing else."""
    digests = [hashlib.sha256(_script(name).encode()).digest() for name in ("page.js", "control.js")]
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; connect-src 'self';"
        " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _script(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    return "\n".join([_STYLE.read_text(encoding="utf-8"), syntax_css(), (_HERE / "page.css").read_text("utf-8")])


@cache
def _template() -> jinja2.Template:
    return page_environment(_HERE).get_template("page.html.j2")


def _diff(latest: Latest) -> Diff | None:
    if latest.parent is None or latest.parent.script == latest.proposal.script:
        return None
    return diff_scripts(latest.parent.script, latest.proposal.script, _DIFF_ROWS)
