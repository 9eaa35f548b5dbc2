"""Numbers, names, differences of scripts: the parts of the page, without a study."""

import polars as pl
import pytest

from tmelt.report.blocks import Fold, Table, Text, decimal, own_note, present, table_of
from tmelt.report.code import diff_scripts
from tmelt.report.figures.lineage import lineage
from tmelt.report.figures.theme import COLOURS, PALETTE, SHAPES
from tmelt.report.render import _VARIABLES
from tmelt.report.words import DASH, anchor, count, counts, dollars, interval, listing, number, seconds, tidied, value


def test_numbers_as_people_read_them():
    assert number(-0.254) == "−0.25" and number(0.5, signed=True) == "+0.50" and number(-0.001) == "0.00"
    assert number(None) == number(float("nan")) == DASH
    assert interval(-1.0, 2.0, signed=True) == "−1.00 to +2.00" and interval(None, 2.0) == ""
    assert [dollars(usd) for usd in (None, 0, 0.00001, 0.0123, 3)] == ["unknown", "$0", "< $0.0001", "$0.012", "$3.00"]
    assert [seconds(s) for s in (None, 5, 600, 7200)] == [DASH, "5 s", "10 min", "2.0 h"]
    assert value(True) == "yes" and value(None) == DASH and value(1e-5) == "1e−05" and value("gelu") == "gelu"


def test_long_decimals_in_a_text():
    assert tidied("a: 0.1 → 2.4345205758653554, x1.23456y 5.5") == "a: 0.1 → 2.43, x1.23456y 5.5"
    assert tidied("2.93456e-06") == "2.93e-06"


def test_names():
    assert count(1, "search", "searches") == "1 search" and count(1200, "trial") == "1,200 trials"
    assert (
        counts([2, 2], "seed") == "2 seeds"
        and counts([3, 1], "seed") == "1 to 3 seeds"
        and counts([], "seed") == "0 seeds"
    )
    assert listing([]) == "" and listing(["a", "b", "c"]) == "a, b and c"
    assert anchor('x"><b>', 1, 2) == "trial-x---b--t1-i2"


def test_difference_counts_lines_and_escapes_the_source():
    before = "import torch\n\n\ndef fit():\n    return 1\n"
    after = before.replace("return 1", 'return "<script>alert(1)</script>"') + "# <b>\n"
    diff = diff_scripts(before, after, limit=50)
    assert (diff.added, diff.removed) == (2, 1)
    html = "".join(line for _, line in diff.rows)
    assert "<script" not in html and "<b>" not in html and "&lt;script&gt;" in html
    assert not diff_scripts(before, before, limit=50)


@pytest.mark.parametrize("source", ["", "x = '''\n<i>\n'''\n", "def (:\n\t<u>\n", "a\x0cb\n", "#" * 300_000 + "<s>\n"])
def test_any_text_can_be_compared(source):
    diff = diff_scripts("a = 1\n", source, limit=50)
    html = "".join(line for _, line in diff.rows)
    assert diff.removed == 1 and diff.added == len(source.splitlines())
    assert not any(tag in html for tag in ("<i>", "<u>", "<s>"))


def test_long_differences_are_cut_and_say_so():
    diff = diff_scripts("", "\n".join(f"x{i} = {i}" for i in range(500)), limit=40)
    assert len(diff.rows) == 40 and diff.left_out == 461 and diff.added == 500


def test_the_tree_of_a_search_follows_the_parents_that_its_proposals_name():
    key = {"strategy": "ra", "trajectory": 0}
    # Trial 3 builds on 1 after 2 had become the incumbent; 4 on 3, and it becomes the incumbent.
    tried = [(0, None, 0), (1, 0, 0), (2, 0, 2), (3, 1, 2), (4, 3, 4)]
    rows = [
        {**key, "iteration": number, "parent": parent, "incumbent": best, "status": "ok"}
        for number, parent, best in tried
    ]
    rows += [
        {**key, "strategy": "random", "iteration": n, "parent": None, "incumbent": 0, "status": "ok"} for n in (0, 1)
    ]
    rows = [row | {"fidelity": 1.0} for row in rows]
    cheap = [row | {"strategy": "asha", "fidelity": 1.0 if row["iteration"] in (0, 4) else 0.5} for row in rows[:5]]
    found = lineage(pl.DataFrame(rows + cheap))
    assert found["strategy"].unique().to_list() == ["ra"], "neither samplers nor promotions make a tree"
    assert found["generation"].to_list() == [0, 1, 1, 2, 3]
    assert found["kept"].to_list() == [True, False, True, False, True]
    assert found["ancestor"].to_list() == [True, True, False, True, True]
    assert found["from_incumbent"].to_list() == [None, True, True, False, False]


def test_every_colour_of_a_figure_has_its_variable_for_dark():
    from pathlib import Path

    from tmelt.report import page

    style = (Path(page.__file__).parent / "style.css").read_text(encoding="utf-8")
    light, dark = style.split("prefers-color-scheme: dark", 1)
    for name in COLOURS:
        assert f"--{name}:" in light and f"--{name}:" in dark.split("}", 1)[0]
    assert len(set(_VARIABLES.values())) == len(COLOURS)
    assert len(PALETTE) == len(SHAPES) == len(set(PALETTE))


def test_every_figure_belongs_to_a_section_and_can_be_drawn_alone():
    from draw import figure_functions

    from tmelt.report import sections

    modules = [module for module in vars(sections).values() if hasattr(module, "SECTION")]
    shown = {name.removeprefix("figure_") for module in modules for name in vars(module) if name.startswith("figure_")}
    assert shown == set(figure_functions())


def test_a_table_says_a_common_note_once_and_different_notes_in_a_column():
    rows = [{"name": "a", "mae": 1.234, "note": "short"}, {"name": "b", "mae": None, "note": "short"}]
    columns = (("", "name"), ("MAE, °C", decimal("mae")))
    same = table_of(rows, *columns, note=own_note)
    assert (same.columns, same.rows, same.note) == (["", "MAE, °C"], [["a", "1.23"], ["b", DASH]], "short")
    other = table_of([rows[0], rows[1] | {"note": None}], *columns, note=own_note)
    assert other.columns[-1] == "note" and [row[-1] for row in other.rows] == ["short", ""] and not other.note
    assert table_of([], *columns, note=own_note).note == ""


def test_blocks_that_show_nothing_are_left_out():
    empty, full = Table(["a"], []), Table(["a"], [["1"]])
    assert present([None, empty, empty.folded("nothing"), Text("")]) == []
    assert present([full, Fold("both", [empty, full])]) == [full, Fold("both", [full])]
    assert present([Fold("why there is no script", [])])
