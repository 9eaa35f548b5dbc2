"""Text from outside, made safe to show."""

import pytest
from markupsafe import Markup

from tmelt.text.safe import for_html, for_spreadsheet, for_terminal, one_line


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


@pytest.mark.parametrize(
    "cell",
    [
        '=HYPERLINK("http://x", "y")',
        "+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "\n=1",
        "＝1",
        "＠SUM",
        "|cmd",
        "%0A",
    ],
)
def test_a_cell_is_no_formula(cell):
    assert for_spreadsheet(cell)[0] == "'" and for_spreadsheet(cell)[1:] == for_terminal(cell)


def test_an_ordinary_cell_stays():
    for cell in ("", "P12345", "sp|P1|X", "Thermus thermophilus", "1.5", "a=b", "[1, 2]"):
        assert for_spreadsheet(cell) == cell
    assert for_spreadsheet("a\x1b[2J") == "a\\x1b[2J"


def test_tables_for_spreadsheets_hold_no_formula(tmp_path):
    import polars as pl

    from tmelt.export.csv_tables import write_csv

    frame = pl.DataFrame({"protein_id": ["=1+1", "P1", None], "tm": [-5.0, 1e-7, None], "all": [["=x"], [], None]})
    write_csv(frame, tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0] == "protein_id,tm,all"
    assert [line.split(",")[0] for line in lines[1:]] == ["'=1+1", "P1", ""]
    assert pl.read_csv(tmp_path / "t.csv")["tm"].to_list() == [-5.0, 1e-7, None]
