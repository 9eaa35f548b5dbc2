"""The page's tables on integrity: labels of trials, and errors on changed proteins."""

from dataclasses import replace

import polars as pl

from tmelt.report.sections.behaviour import integrity_table
from tmelt.report.sections.winners import robustness_table
from tmelt.report.trial_page import trial_sections


def test_the_integrity_table_has_a_row_per_strategy(whole):
    study = whole.read()
    table = integrity_table(study)
    assert [row[0] for row in table.rows] == study.strategies
    marked = study["trials"].with_row_index().filter((pl.col("strategy") == "ua") & (pl.col("iteration") == 1))
    assert len(marked) == 2
    rates = study["integrity"].with_columns(
        trials=pl.when((pl.col("strategy") == "ua") & (pl.col("label") == "table_like")).then(2).otherwise("trials"),
        rate=pl.when((pl.col("strategy") == "ua") & (pl.col("label") == "table_like")).then(0.25).otherwise("rate"),
        incumbents=pl.when(pl.col("label") == "table_like").then(1).otherwise("incumbents"),
    )
    table = integrity_table(replace(study, tables={**study.tables, "integrity": rates}))
    (row,) = [row for row in table.rows if row[0] == "ua"]
    assert row[table.columns.index("table like")].startswith("2 (25")
    assert row[-1] == "1"


def test_the_robustness_table_names_each_winner_and_change(whole):
    study = whole.read()
    table = robustness_table(study)
    assert len(table.rows) == len(study["robustness"])
    assert {row[0] for row in table.rows} == {"baseline (trial 0)"} | {
        f"{name}, search {number}" for name in study.strategies for number in range(2)
    }
    assert {row[1] for row in table.rows} == {
        "noise on the embedding", "one residue missing", "joined to another protein",
    }  # fmt: skip
    assert {row[6] for row in table.rows} == {"no sign"}
    flagged = study["robustness"].with_columns(flagged=pl.lit(True))
    table = robustness_table(replace(study, tables={**study.tables, "robustness": flagged}))
    assert {row[6] for row in table.rows} == {"recognises proteins"}


def test_a_trials_section_shows_its_label_unless_it_is_clean(whole):
    study = whole.read()
    odd = pl.when(pl.col("iteration") == 2).then(pl.lit("table_like")).otherwise(pl.lit("clean"))
    trials = study["trials"].with_columns(integrity=odd)
    study = replace(study, tables={**study.tables, "trials": trials})
    for section in trial_sections(study, trials, {}):
        said = [what for name, what in section.facts if name == "integrity"]
        assert said == (["table like"] if section.iteration == 2 else [])


def test_the_page_has_both_tables(page):
    text = page.read_text(encoding="utf-8")
    assert "Integrity labels of trials" in text
    assert "Errors on slightly changed proteins" in text
