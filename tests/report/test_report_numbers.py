"""Crossovers, ticks, differences, and what the page says in numbers."""

import re
from dataclasses import replace

import polars as pl
import pytest

from tmelt.evidence.comparison import SAME
from tmelt.evidence.make import TABLES
from tmelt.report.code import shown_diff
from tmelt.report.figures.attribution import TRIED, figure_changes, figure_kinds, kind_shares
from tmelt.report.figures.comparison import fewest_searches, figure_comparison
from tmelt.report.figures.cost import cost_curves, figure_cost
from tmelt.report.figures.search import figure_incumbents, reference_lines
from tmelt.report.figures.theme import log_ticks, span_of, trial_axis
from tmelt.report.figures.winners import ranking_rows
from tmelt.report.finding import finding, power
from tmelt.report.inputs import ReportStudy
from tmelt.report.render import svg_of
from tmelt.report.sections import attribution, behaviour, comparison, cost, generalisation, result, searches
from tmelt.report.sections.methods import methods, methods_paragraph
from tmelt.storage.schema import as_frame


def with_table(study: ReportStudy, name: str, **columns: pl.Expr) -> ReportStudy:
    """The study with other columns in a table."""
    return replace(study, tables={**study.tables, name: study[name].with_columns(**columns)})


def axis_labels(svg: str) -> list[list[str]]:
    """The labels of each axis of a drawing."""
    axes = re.findall(r'<g class="mark-text role-axis-label".*?</g>', svg, re.DOTALL)
    return [re.findall(r">([^<>]+)</text>", axis) for axis in axes]


def test_crossovers_are_said_only_where_they_are_supported(whole):
    study = whole.read()
    assert "fewer than 3 searches" in cost.crossovers_text(study) and not cost.crossovers_table(study).rows
    third = study["trials"].with_columns(trajectory=pl.col("trajectory") + 2)
    more = {**study.tables, "trials": pl.concat([study["trials"], third])}
    assert "no change of the lead is supported" in cost.crossovers_text(replace(study, tables=more))
    _, devices, levels = cost_curves(study)
    found = {"a": "random", "b": "ua", "compute_usd_per_h": devices[len(devices) // 2], "token_price": levels[0]}
    rows = as_frame([found | {"usd": 0.5, "val_mae": 4.0, "support": 0.97}], TABLES["crossovers"])
    crossed = replace(study, tables=more | {"crossovers": rows})
    assert "ua overtakes random from $0.50 on" in cost.crossovers_text(crossed)
    assert cost.crossovers_table(crossed).rows[0][2:] == ["ua overtakes random", "$0.50", "97 %"]
    assert "ua is ahead of random" in svg_of(figure_cost(crossed))


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
    (tick,) = log_ticks(1.62e-5, 1.91e-5, 3)  # no round number lies between
    assert 1.62e-5 < tick < 1.91e-5


def test_an_axis_around_equal_values_has_room():
    assert span_of(pl.Series([6.54, 6.54])) == pytest.approx([6.49, 6.59])
    assert span_of(pl.Series([4.0, 6.0])) == pytest.approx([3.9, 6.1])


@pytest.mark.parametrize("spread", [0.0, 1e-4])
def test_labels_of_a_flat_curve_are_distinct_and_right(whole, spread):
    study = whole.read()
    near = 6.541 + spread * (pl.col("median_val_mae") - pl.col("median_val_mae").min())
    svg = svg_of(figure_cost(with_table(study, "cost_curves", median_val_mae=near)))
    labels = axis_labels(svg)
    assert all(len(set(texts)) == len(texts) for texts in labels)
    errors = [texts for texts in labels if not texts[0].startswith("$")]
    assert errors and all(abs(float(text) - 6.541) < 0.15 for texts in errors for text in texts)


@pytest.mark.parametrize(("longest", "unit"), [(0.02, ""), (50, ""), (5e6, "M")])
def test_seconds_on_an_axis_are_never_read_as_minutes(whole, longest, unit):
    study = whole.read()
    study = with_table(study, "bands", x=pl.col("x") * longest / study["bands"].filter(axis="fit_s")["x"].max())
    svg = svg_of(figure_incumbents(study, axis="fit_s"))
    texts = axis_labels(svg)[0]
    assert len(set(texts)) == len(texts) > 2
    assert all(re.fullmatch(rf"\d+(\.\d+)?{unit}", text) for text in texts), texts


def test_the_fewest_searches_may_be_the_second_strategys():
    pairs = pl.DataFrame(
        {
            "a": ["ua", "ua"],
            "b": ["ra", "baseline"],
            "distinct_a": [6, 6],
            "distinct_b": [3, 1],
            "versus": [False, True],
        }
    )
    assert fewest_searches(pairs) == 3
    assert fewest_searches(pairs.filter("versus")) == 6


def test_a_strategy_with_few_searches_does_not_hide_the_tests_of_others(whole):
    tested = pl.when((pl.col("b") != "baseline") & (pl.col("a") != "ua") & (pl.col("b") != "ua")).then(0.004)
    study = with_table(whole.read(), "comparison", p_value=tested)
    caption = figure_comparison(study).caption
    assert "Pairs with fewer than 5 distinct searches of a strategy are not tested" in caption
    caption = figure_comparison(whole.read()).caption
    assert "Strategies are not tested against each other with 2 distinct searches" in caption


def test_the_ranking_within_organisms_is_judged_against_the_reference(whole):
    for verdict, words in (
        ("undecided", "no difference in ranking within an organism is shown"),
        ("a better", "is shown to rank proteins within an organism better than that predictor"),
    ):
        judged = pl.when(pl.col("metric") == "test_within_rho").then(pl.lit(verdict)).otherwise("verdict")
        study = with_table(whole.read(), "comparison", verdict=judged)
        assert words in finding(study)[0]


def test_nothing_is_said_of_strategies_without_a_confirmed_winner(whole):
    study = whole.read()
    lost = (pl.col("a") == "ua") | (pl.col("b") == "ua")
    rows = study["comparison"].with_columns(p_adjusted=pl.lit(0.01), verdict=pl.lit("a better"))
    assert (
        "every strategy's winners are shown to improve"
        in finding(replace(study, tables={**study.tables, "comparison": rows}))[1]
    )
    said = finding(replace(study, tables={**study.tables, "comparison": rows.filter(~lost)}))[1]
    assert "the winners of random and ra are shown to improve" in said and "every strategy" not in said


def test_what_did_not_carry_over_is_said_of_searches_that_kept_a_change_alone(whole):
    study = with_table(whole.read(), "winners", optimism=pl.lit(0.2), optimism_low=pl.lit(0.1))
    study = with_table(study, "choices", iteration=pl.lit(3))
    assert "0.20 °C on average did not carry over" in finding(study)[1]
    assert f"for {len(study['winners'])} the 95 % interval lies above 0" in finding(study)[1]
    carried = with_table(with_table(study, "winners", optimism=pl.lit(-0.17)), "winners", optimism_low=pl.lit(-0.4))
    assert "carry over to proteins that no search saw (optimism −0.17 °C" in finding(carried)[1]
    unchanged = with_table(whole.read(), "choices", iteration=pl.lit(0))
    assert "carry over" not in finding(unchanged)[1]


def test_what_is_unknown_of_the_proposals_is_a_dash(whole):
    study = with_table(
        whole.read(), "behaviour", changed_knobs=pl.lit(None, dtype=pl.Int64), step=pl.lit(None, pl.Float64)
    )
    assert {(row[2], row[3]) for row in behaviour.behaviour_table(study).rows} == {("–", "–")}


def test_a_kept_change_of_spelling_is_called_neither_knobs_nor_script(whole):
    study = with_table(whole.read(), "changes", kind=pl.lit("none"))
    drawn = figure_changes(study).data["changes"]
    assert set(drawn["kind"]) == {"spelling only"}


def test_a_unified_diff_shows_its_lines_and_escapes_them():
    diff = shown_diff("--- parent/train.py\n+++ train.py\n@@ -1,2 +1,2 @@\n a\n-<b>\n+++i\n", 10)
    assert (diff.added, diff.removed) == (1, 1)
    assert diff.rows == (("gap", "line 1"), ("same", "a"), ("removed", "&lt;b&gt;"), ("added", "++i"))


def test_numbers_beside_the_figures_are_those_of_the_tables(whole):
    study = whole.read()
    pairs = study["comparison"].filter((pl.col("metric") == "test_mae") & ~pl.col("b").is_in(["baseline", "reference"]))
    table = comparison.comparison_table(study)
    assert [row[0] for row in table.rows] == [f"{row['a']} − {row['b']}" for row in pairs.to_dicts()]
    assert f"{100 * pairs['probability'][0]:.0f} %" in table.rows[0][4]
    speed = searches.efficiency_table(study)
    assert [row[0] for row in speed.rows] == study.strategies
    area = study["efficiency"].filter((pl.col("strategy") == "ra") & (pl.col("axis") == "trials"))
    row = next(row for row in speed.rows if row[0] == "ra")
    assert row[1] == f"{area['auc'].mean():.2f}" and row[2].startswith(f"{area['reached'].sum()} of 2")
    repeats = study["behaviour"].filter(pl.col("strategy") == "ua")["duplicate_of"].drop_nulls().len()
    assert next(row for row in behaviour.behaviour_table(study).rows if row[0] == "ua")[5] == str(repeats)
    held = next(row for row in result.final_table(study).rows if row[0] == "baseline (trial 0)")
    base = study["baseline"].row(0, named=True)
    assert held[1] == f"{base['test_mae']:.2f}" and held[2] == f"{base['low']:.2f} to {base['high']:.2f}"
    assert held[6] == f"{base['test_within_rho']:.2f}"
    assert len(attribution.attribution_table(study).rows) == 6
    assert "With 2 distinct searches per strategy nothing is tested" in power(study)


def test_methods_name_the_config_and_how_to_run_it(whole):
    study = replace(whole.read(), configs=("studies/mine.yaml",))
    described = dict(methods(study))
    assert described["Config file"] == "studies/mine.yaml"
    assert "make study CONFIG=studies/mine.yaml" in described["Commands"]
    assert "Config file" not in dict(methods(whole.read()))
    told = methods_paragraph(study)
    assert "3 strategies (random, ra and ua)" in told and "3 fresh seeds" in told and "8 trials" in told


def test_the_same_candidate_has_no_difference_of_zero(whole):
    study = whole.read()
    same = study["comparison"].with_columns(note=pl.lit(SAME), difference=0.0, low=None, high=None)
    rows = comparison.comparison_table(replace(study, tables={**study.tables, "comparison": same})).rows
    assert {row[2] for row in rows} == {"same candidate"}


def test_a_share_is_never_minus_zero(whole):
    study = with_table(whole.read(), "attribution", in_space_share=pl.lit(-0.001))
    assert {row[3] for row in attribution.attribution_table(study).rows} == {"0 %"}


def test_external_references_are_lines_rows_and_sources(whole):
    given = {"name": "Published <b>", "mae": 4.4, "parameters": 25_000_000, "source": "a paper"}
    study = replace(whole.read(), references=(given,))
    assert result.references_table(study).rows == [["Published <b>", "4.40", "25,000,000", "a paper"]]
    assert ranking_rows(study).filter(kind="external")["mae"].to_list() == [4.4]
    lines = reference_lines(study)
    assert lines.filter(label="Published <b>").select("split", "mae").rows() == [("test", 4.4)]
    assert not result.references_table(whole.read()).rows


def test_differences_to_the_searchs_own_budget_have_intervals(whole):
    study = whole.read()
    rows = generalisation.horizons_table(study).rows
    assert len(rows) == study["horizons"].filter(pl.col("level") != 1).height > 0
    assert "ra, 2× the budget" in [row[0] for row in rows] and "ra, 50 % of fit" in [row[0] for row in rows]
    assert "not tested" in comparison.spread_text(study)


def test_all_trials_count_in_the_shares_in_and_out_of_the_space(whole):
    study = whole.read()
    shares, trials = kind_shares(study)
    tried = study["behaviour"].drop_nulls("kind")
    assert trials == len(tried) and set(shares["kind"]) <= set(TRIED)
    sums = shares.group_by("strategy", "third").agg(pl.col("share").sum())["share"]
    assert sums.is_between(1 - 1e-9, 1 + 1e-9).all()
    assert {"structure", "other constants"} <= set(shares.filter(pl.col("strategy") == "ua")["kind"])
    assert set(shares.filter(pl.col("strategy") == "random")["kind"]) == {"knobs"}
    assert figure_kinds(study)
