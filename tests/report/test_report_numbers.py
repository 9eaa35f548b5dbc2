"""Who leads for the money, ticks, differences, and what the page says in numbers."""

import polars as pl
import pytest

from tmelt.report import numbers, results, text
from tmelt.report.code import shown_diff
from tmelt.report.figures.cost import leaders, log_ticks
from tmelt.report.figures.theme import trial_axis
from tmelt.report.tables import noted


def test_the_lead_changes_where_another_curve_is_lower_and_ties_keep_it():
    curves = pl.DataFrame(
        [
            {"usd": 1.0, "strategy": "a", "median_val_mae": 5.0},
            {"usd": 2.0, "strategy": "a", "median_val_mae": 4.0},  # a ends here and keeps its winner
            {"usd": 1.0, "strategy": "b", "median_val_mae": 6.0},
            {"usd": 2.0, "strategy": "b", "median_val_mae": 4.0},
            {"usd": 3.0, "strategy": "b", "median_val_mae": 4.5},
            {"usd": 4.0, "strategy": "b", "median_val_mae": 3.0},
        ]
    )
    assert leaders(curves, ["b", "a"]) == [("a", 1.0), ("b", 4.0)]


@pytest.mark.parametrize("last", [0, 1, 2, 3, 7, 14, 60, 100, 999, 20_000])
def test_ticks_of_trials_are_whole_numbers_each_once(last):
    ticks = trial_axis(last).to_dict()["values"]
    assert ticks[0] == 0 and ticks[-1] <= last and len(set(ticks)) == len(ticks)
    assert all(isinstance(tick, int) for tick in ticks)
    assert len(ticks) <= 7 or last > 6000


def test_ticks_in_the_logarithm_are_few_and_inside():
    for low, high in ((0.53, 0.97), (1e-4, 3.0), (80_000, 2e6)):
        ticks = log_ticks(low, high, 5)
        assert 2 <= len(ticks) <= 6 and low <= min(ticks) and max(ticks) <= high
    assert log_ticks(1.0, 1.0, 5) == []


def test_notes_are_said_once():
    assert noted(["", "n"], [["a", "1", "few"], ["b", "2", "few"]]).note == "few"
    assert list(noted(["", "n"], [["a", "1", "few"], ["b", "2", ""]]).columns) == ["", "n", "note"]
    assert noted(["", "n"], []).note == ""


def test_a_unified_diff_shows_its_lines_and_escapes_them():
    diff = shown_diff("--- parent/train.py\n+++ train.py\n@@ -1,2 +1,2 @@\n a\n-<b>\n+++i\n", 10)
    assert (diff.added, diff.removed) == (1, 1)
    assert diff.rows == (("gap", "line 1"), ("same", "a"), ("removed", "&lt;b&gt;"), ("added", "++i"))


def test_numbers_beside_the_figures_are_those_of_the_tables(whole):
    study = whole.read()
    pairs = study["comparison"].filter((pl.col("metric") == "test_mae") & (pl.col("b") != "baseline"))
    table = numbers.comparison_table(study)
    assert [row[0] for row in table.rows] == [f"{row['a']} − {row['b']}" for row in pairs.to_dicts()]
    assert f"{100 * pairs['probability'][0]:.0f} %" in table.rows[0][4]
    speed = numbers.efficiency_table(study)
    assert [row[0] for row in speed.rows] == study.strategies
    area = study["efficiency"].filter((pl.col("strategy") == "ra") & (pl.col("axis") == "trials"))
    row = next(row for row in speed.rows if row[0] == "ra")
    assert row[1] == f"{area['auc'].mean():.2f}" and row[2].startswith(f"{area['reached'].sum()} of 2")
    repeats = study["behaviour"].filter(pl.col("strategy") == "ua")["duplicate_of"].drop_nulls().len()
    assert next(row for row in numbers.behaviour_table(study).rows if row[0] == "ua")[5] == str(repeats)
    held = next(row for row in results.final_table(study).rows if row[0] == "baseline (trial 0)")
    base = study["baseline"].row(0, named=True)
    assert held[1] == f"{base['test_mae']:.2f}" and held[2] == f"{base['low']:.2f} to {base['high']:.2f}"
    assert held[6] == f"{base['test_within_rho']:.2f}"
    assert len(numbers.attribution_table(study).rows) == 6 and "power of 80 %" in text.power(study)


def test_methods_name_the_config_and_how_to_run_it(whole):
    from dataclasses import replace

    study = replace(whole.read(), configs=("studies/mine.yaml",))
    methods = dict(text.methods(study))
    assert methods["Config file"] == "studies/mine.yaml"
    assert "make study CONFIG=studies/mine.yaml" in methods["Commands"]
    assert "Config file" not in dict(text.methods(whole.read()))
    told = text.methods_paragraph(study)
    assert "3 strategies (random, ra and ua)" in told and "2 fresh seeds" in told and "6 trials" in told
