"""Text from outside, made safe to show."""

import pytest
from markupsafe import Markup

from tmelt.safe_text import for_html, for_terminal, one_line


@pytest.mark.parametrize(
    "unsafe",
    ["\x1b[2J", "\x07", "\x00", "\r", "\x7f", "\x9b31m", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\ud800"],
)
def test_what_a_terminal_obeys_or_hides_is_escaped(unsafe):
    shown = for_terminal(f"a{unsafe}b")
    assert shown.isprintable() and shown.startswith("a\\") and shown.endswith("b")
    assert for_html(f"a{unsafe}b") == shown
    assert one_line(f"a{unsafe}b").isprintable()


def test_plain_text_stays():
    text = "Tm in °C: 60.1 ± 2 — naïve, 蛋白质, ≤ 5 %\n\ttabbed"
    assert for_terminal(text) == text
    assert one_line(text) == " ".join(text.split())


def test_markup_is_escaped_once():
    assert for_html('<b title="x">\'&') == "&lt;b title=&#34;x&#34;&gt;&#39;&amp;"
    assert for_html(Markup("<b>")) == "<b>"


def test_a_line_is_bounded():
    assert len(one_line("x" * 10**7)) == 301
    assert len(one_line("\x1b" * 10**6)) == 301
