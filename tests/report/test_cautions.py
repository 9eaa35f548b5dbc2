"""Cautions follow from what was recorded, and fit on the first screen."""

import shutil
from dataclasses import replace

import polars as pl
import pytest

from tmelt.report.cautions import cautions, grouped
from tmelt.report.finding import finding
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.data import audit_table
from tmelt.search.notes import UsedUp
from tmelt.storage.schema import AUDIT, as_frame, write_table


@pytest.fixture
def found():
    """Function: the cautions of a study by title."""
    return lambda study: {caution.title: caution for caution in cautions(study)}


def with_origins(study: ReportStudy, name: str, kind: str, origin: str, **options) -> ReportStudy:
    """The study with a strategy of another kind whose trials after the baseline have one origin."""
    here = (pl.col("strategy") == name) & (pl.col("iteration") > 0)
    trials = study["trials"].with_columns(origin=pl.when(here).then(pl.lit(origin)).otherwise("origin"))
    return replace(
        study,
        tables={**study.tables, "trials": trials},
        settings={**study.settings, name: {"kind": kind, "options": options}},
    )


def test_a_hybrid_whose_inner_trials_were_all_random_is_named(whole, found):
    study = with_origins(whole.read(), "ua", "ua_bo", "startup")
    assert "No inner trial of ua (16 of 16 inner trials)" in found(study)["Hybrids without BO."].text
    assert "Hybrids without BO." not in found(with_origins(whole.read(), "ua", "ua_bo", "sampler"))
    assert "Hybrids without BO." not in found(whole.read())


def test_bo_with_fewer_model_based_trials_than_knobs_is_named(whole, found):
    study = with_origins(whole.read(), "random", "bo", "sampler", sampler="tpe")
    assert "random (at most 8) are fewer than the" in found(study)["Little BO."].text
    design = replace(study.protocol.design, knobs=study.protocol.design.knobs[:6])
    few = replace(study.protocol, design=design)
    assert "Little BO." not in found(replace(study, protocol=few))
    assert "Little BO." not in found(with_origins(whole.read(), "random", "bo", "sampler", sampler="qmc"))


def test_runs_that_the_clock_cut_are_counted(whole, found):
    study = whole.read()
    quiet = study["trials"].with_columns(cut_by_clock=pl.lit(0, pl.Int64))
    assert "Runs cut by the clock." not in found(replace(study, tables={**study.tables, "trials": quiet}))
    cut = quiet.with_columns(
        cut_by_clock=pl.when((pl.col("strategy") == "ua") & (pl.col("iteration") < 3)).then(2).otherwise("cut_by_clock")
    )
    told = found(replace(study, tables={**study.tables, "trials": cut}))["Runs cut by the clock."].text
    assert told.startswith("12 runs ended for lack of time (trials concerned: ua 6)")


def test_a_gain_that_does_not_carry_over_and_winners_from_before_the_end_are_named(whole, found):
    study = whole.read()
    low = pl.when(pl.col("strategy") == "ua").then(0.2).otherwise(-0.1)
    flattered = study["strategies"].with_columns(optimism=pl.lit(0.5), optimism_low=low)
    told = found(replace(study, tables={**study.tables, "strategies": flattered}))["Gains that do not carry over."].text
    assert "of ua (0.50 °C) is absent on proteins that no search saw" in told
    honest = study["strategies"].with_columns(optimism_low=pl.lit(-0.1))
    assert "Gains that do not carry over." not in found(replace(study, tables={**study.tables, "strategies": honest}))
    title = "Winners that are not the last incumbent."
    last = study["choices"].with_columns(chosen=pl.col("place") == 1)
    assert title not in found(replace(study, tables={**study.tables, "choices": last}))
    second = (pl.col("strategy") == "ra") & (pl.col("trajectory") == 0)
    earlier = last.with_columns(place=pl.when(second & pl.col("chosen")).then(2).otherwise("place"))
    assert (
        "Of ra (search 0) an earlier" in found(replace(study, tables={**study.tables, "choices": earlier}))[title].text
    )


def test_searches_with_a_budget_in_seconds_are_told_with_their_lengths(whole, found):
    study = whole.read()
    short = (pl.col("strategy") == "ua") & (pl.col("iteration") > 5)
    trials = study["trials"].filter(~short)
    keys = list(trials.select("strategy", "trajectory").unique().iter_rows())
    used = {key: UsedUp(unit="device_s", limit=3600.0, used=3610.0) for key in keys if key[0] != "ra"}
    unequal = replace(study, tables={**study.tables, "trials": trials}, used_up=used)
    told = found(unequal)
    assert "each until it had used 3600 CPU core seconds" in told["Searches of unequal length by design."].text
    assert "the shortest has 5 trials" in told["Searches of unequal length by design."].text
    early = told["Searches that ended before their budget was used."]
    assert early.level == "warning" and early.text.startswith("ra (search 0) and ra (search 1)")
    assert "Searches of unequal length." not in told
    assert "each until it had used 3600 CPU core seconds, from one baseline" in finding(unequal)[0]


def test_searches_that_repeat_each_other_are_counted_once(whole, found):
    study = whole.read()
    assert "Repeated searches." not in found(study)
    first = study["trials"].filter((pl.col("strategy") == "ra") & (pl.col("trajectory") == 0))
    others = study["trials"].filter((pl.col("strategy") != "ra") | (pl.col("trajectory") == 0))
    copied = pl.concat([others, first.with_columns(trajectory=pl.lit(1, pl.Int64))])
    told = found(replace(study, tables={**study.tables, "trials": copied}))["Repeated searches."].text
    assert told.startswith("ra: 2 searches, 1 distinct by their trials.")
    same = study["strategies"].with_columns(distinct=pl.lit(1, pl.Int64))
    told = found(replace(study, tables={**study.tables, "strategies": same}))["Repeated searches."].text
    assert "ua: 2 searches, 1 distinct by their winners" in told


def test_a_winner_that_strategies_share_is_named(whole, found):
    study = whole.read()
    won = study["winners"].with_columns(
        outcome=pl.when(pl.col("strategy").is_in(["ra", "ua"])).then(pl.lit("same")).otherwise("outcome"),
        iteration=pl.lit(3, pl.Int64),
    )
    shared = found(replace(study, tables={**study.tables, "winners": won}))["Identical winners."]
    assert shared.text.startswith("ra and ua ended at the same candidate")


def test_a_winner_that_recognises_proteins_is_a_danger(whole, found):
    study = whole.read()
    assert "Winners that recognise proteins." not in found(study)
    here = (pl.col("strategy") == "ua") & (pl.col("trajectory") == 1) & (pl.col("kind") == "noise")
    flagged = study["robustness"].with_columns(flagged=here.fill_null(False))
    told = found(replace(study, tables={**study.tables, "robustness": flagged}))["Winners that recognise proteins."]
    assert told.level == "danger" and told.text.startswith("ua (search 1: noise): at least 25 % of the error")
    unknown = study["robustness"].with_columns(
        flagged=pl.when(here).then(None).otherwise(False), note=pl.when(here).then(pl.lit("a link")).otherwise("note")
    )
    told = found(replace(study, tables={**study.tables, "robustness": unknown}))
    assert told["Winners without a memorisation check."].text.startswith("ua (search 1: a link)")


def test_one_split_and_the_playbooks_knowledge_are_always_said(whole, found):
    told = found(whole.read())
    assert "One split of one data set." in told
    assert "knowledge of the published faults of trial 0" in told["Scripted agents."].text


def test_the_first_screen_has_few_lines_and_danger_first(whole):
    groups = grouped(whole.read())
    assert 1 < len(groups) <= 6 and groups[0].level == "danger"
    assert sum(len(group.cautions) for group in groups) == len(cautions(whole.read()))


def test_what_the_label_audit_found_is_a_caution_and_a_table(whole, found):
    study = whole.read()
    assert not [title for title in found(study) if title.startswith("Label audit")]
    rows = [
        {
            "check": "tied",
            "level": "caution",
            "measured": 0.33,
            "threshold": 0.05,
            "text": "33% of the labels are tied",
        },
        {"check": "leak", "level": "accepted", "measured": 0.7, "threshold": 0.5, "text": "70% have homologues"},
        {"check": "spread", "level": "ok", "measured": 12.0, "threshold": 2.0, "text": "the labels vary"},
    ]
    audited = replace(study, audit=as_frame(rows, AUDIT))
    assert found(audited)["Label audit: tied labels."].text == "33% of the labels are tied."
    assert found(audited)["Label audit: homologues across the split."].text.endswith("accepts what would stop a study.")
    assert len([title for title in found(audited) if title.startswith("Label audit")]) == 2
    assert [row[:2] for row in audit_table(audited).rows] == [[row["check"], row["level"]] for row in rows]


@pytest.mark.slow
def test_the_label_audit_is_on_the_page(whole, tmp_path):
    audited = replace(whole, data=shutil.copytree(whole.data, tmp_path / "data"))  # others read `whole` meanwhile
    row = {"check": "tied", "level": "caution", "measured": 0.33, "threshold": 0.05, "text": "a third is tied <b>"}
    write_table(audited.data / "audit.parquet", [row], AUDIT)
    page = audited.report(tmp_path / "report").read_text(encoding="utf-8")
    assert "Label audit" in page and "a third is tied &lt;b&gt;" in page and "A third is tied &lt;b&gt;." in page
