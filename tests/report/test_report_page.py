"""The page of studies that are whole, small, or failed; its sentences against the numbers behind them."""

import csv
import re
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import polars as pl
import pytest
from small_studies import Made, edit_facts, edit_json, edit_table, make_study
from study_records import embedding_record, revision

from tmelt.errors import InputError
from tmelt.evidence.comparison import chosen_strategy
from tmelt.llm.transcript import write_record
from tmelt.report.blocks import present
from tmelt.report.cautions import cautions
from tmelt.report.figures.cost import figure_cost
from tmelt.report.finding import finding
from tmelt.report.page import draw
from tmelt.report.render import svg_of
from tmelt.report.sections import SECTIONS, coders
from tmelt.report.sections.methods import methods
from tmelt.storage.files import write_json, write_text
from tmelt.storage.records import to_json

pytestmark = pytest.mark.slow  # each test draws a page: 3 CPU seconds

SCRIPTS_UNTIL_SCORED = ("tabulate_trials",)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Made:
    """Three strategies, one search of two trials each, confirmed."""
    return make_study(tmp_path_factory.mktemp("tiny"), trajectories=1, iterations=2, purposes=("winner", "baseline"))


@pytest.fixture
def edited(tiny, tmp_path) -> Made:
    """A copy of it, to be edited."""
    study = shutil.copytree(tiny.study, tmp_path / "study")
    return Made(study, shutil.copytree(tiny.data, tmp_path / tiny.data.name))


def words_of(page) -> str:
    """The page's words, markup left out."""
    html = page.read_text(encoding="utf-8")
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_whole_study_has_every_section_and_figure(whole, page):
    html = page.read_text(encoding="utf-8")
    assert len(html.encode()) < 8e6
    for section in SECTIONS:
        shown = not section.optional or section.anchor == "external"  # it has an external set, and no coding agent
        assert (f'<section id="{section.anchor}">' in html) == shown
        assert section.optional or section.title in html
        assert not section.missing or section.missing not in html, f"{section.title} should have figures"
    named = set(re.findall(r'<figure id="figure-(\w+)">', html))
    for name in named:
        for ending in ("svg", "png", "csv", "parquet"):
            assert (page.parent / "figures" / f"{name}.{ending}").stat().st_size > 0
    assert {
        "ranking",
        "incumbents_trials",
        "trials",
        "lineage",
        "external",
        "predicted",
        "attribution",
        "improvements",
        "interactions",
        "pareto",
    } <= named
    assert "NaN" not in words_of(page) and "None" not in words_of(page)


def test_finding_says_the_numbers_of_the_tables_and_claims_no_ranking(whole):
    study = whole.read()
    said = " ".join(finding(study))
    chosen = study["strategies"].filter(strategy=chosen_strategy(study["winners"])).row(0, named=True)
    assert f"Chosen on proteins that no search saw, the winners of {chosen['strategy']} reach a test MAE of" in said
    assert f"{chosen['test_mae']:.2f} °C" in said
    assert "no ranking of the strategies is claimed" in said
    assert f"{len(study['failures'])} of {len(study['trials'])} trials failed" in said
    titles = [caution.title for caution in cautions(study)]
    assert titles[0] == "No sandbox." and "Synthetic data." in titles
    (scripted,) = (caution for caution in cautions(study) if caution.title == "Scripted agents.")
    assert "ra and ua" in scripted.text and "no LLM" in scripted.text
    assert "the scripted ra and ua" in said


def test_an_established_difference_is_stated_and_only_that(edited):
    told = {"difference": -1.25, "low": -1.9, "high": -0.6, "p_value": 0.004, "p_adjusted": 0.012}

    def decided(row):
        if {row["a"], row["b"]} == {"random", "ua"} and row["metric"] == "test_mae":
            sign = 1 if row["a"] == "ua" else -1
            turned = told if sign == 1 else told | {"difference": 1.25, "low": 0.6, "high": 1.9}
            return row | turned | {"verdict": "a better" if sign == 1 else "b better"}
        return row | {"p_adjusted": 0.5, "verdict": "undecided"}

    edit_table(edited, "comparison", decided)
    main, _ = finding(edited.read())
    assert "ua over random by 1.25 °C (0.60 to 1.90; p = 0.012)" in main
    assert "2 pairs of 3 remain undecided" in main and "no ranking" not in main


def test_without_a_verdict_no_difference_is_stated(edited):
    edit_table(edited, "comparison", lambda row: row | {"p_adjusted": 0.5, "verdict": "undecided"})
    main, _ = finding(edited.read())
    assert "No difference between strategies is established" in main and not re.search(r"over \w+ by", main)


def test_cautions_follow_the_study(tmp_path):
    made = make_study(tmp_path, strategies=("random",), trajectories=1, iterations=1, purposes=("winner", "baseline"))
    edit_table(made, "runs", lambda row: row | {"sandbox": "landlock"})
    protocol = made.read().protocol
    edit_json(
        made.paths["protocol"],
        measured=to_json(replace(protocol.measured, embedding=embedding_record(backbone="tiny", untrained=True))),
        design=to_json(replace(protocol.design, sandbox="auto")),
        revisions=to_json([revision("budget.fit_s: 30 -> 60")]),
    )
    edit_facts(made, synthetic=False, source="mine.csv")
    found = {caution.title: caution for caution in cautions(made.read())}
    assert "No sandbox." not in found and "Synthetic data." not in found and "Scripted agents." not in found
    assert "tiny has random weights" in found["Untrained backbone."].text
    revised = found["The protocol was revised on 2026-02-03T00:00:00Z."]
    assert "budget.fit_s: 30 -> 60" in revised.text
    assert "untrained backbone (tiny)" in finding(made.read())[0]


def test_an_impossible_study_says_so_and_an_improvement_in_it_is_an_alarm(edited):
    alarm = "Improvement where there is nothing to learn."
    assert not {alarm, "Impossible study.", "Validation was overfitted."} & {c.title for c in cautions(edited.read())}
    edit_facts(edited, shuffled_labels=True)
    edit_table(edited, "floors", lambda row: row | {"val_mae": 0.1, "test_mae": 9.0})

    def against_reference(low, high):
        def change(row):
            return row | ({"difference": -1.0, "low": low, "high": high} if row["b"] == "reference" else {})

        return change

    def levels(high):
        edit_table(edited, "strategies", lambda row: row | {"test_high": high if row["strategy"] == "ua" else 20.0})

    edit_table(edited, "comparison", against_reference(-2.5, 0.5))
    levels(9.5)
    quiet = {caution.title: caution for caution in cautions(edited.read())}
    assert "Impossible study." in quiet and alarm not in quiet and "Validation was overfitted." not in quiet
    levels(8.5)
    edit_table(edited, "floors", lambda row: row | {"val_mae": 99.0})
    loud = {caution.title: caution for caution in cautions(edited.read())}
    assert loud[alarm].level == "danger" and "of ua and its 95 % interval" in loud[alarm].text
    assert "a constant prediction" in loud["Validation was overfitted."].text
    levels(9.5)
    edit_table(edited, "comparison", against_reference(-1.5, -0.5))
    assert alarm in {caution.title for caution in cautions(edited.read())}


def test_what_agents_are_told_stands_on_the_page(edited):
    told = dict(methods(edited.read()))["What agents are told"]
    assert "Agents (ra and ua) are also told the meaning of each knob" in told
    assert "ua see and write the training script" in told and "authors' knowledge" in told
    quiet = {caution.title for caution in cautions(edited.read())}
    assert not {"Control arms.", "Trial 0 is not the published one."} & quiet
    edit_json(edited.study / "random" / "strategy.json", kind="local")
    design = replace(edited.read().protocol.design, baseline={"planted": 3, "seed": 7})
    edit_json(edited.paths["protocol"], design=to_json(design))
    found = {caution.title: caution.text for caution in cautions(edited.read())}
    assert found["Control arms."] == "random makes the restricted agent's moves at random, without an LLM."
    assert "3 other faults were planted in it (seed 7)" in found["Trial 0 is not the published one."]


@pytest.mark.slow
def test_one_strategy_one_search(tmp_path):
    made = make_study(tmp_path / "study", strategies=("random",), trajectories=1, iterations=3)
    page = made.report(tmp_path / "report")
    words = words_of(page)
    assert "1 strategy (random) made 1 search of up to 3 trials" in words
    assert "fewer than 5 distinct searches" in words.lower()


def test_no_trial_succeeded(tmp_path):
    made = make_study(
        tmp_path / "study", trajectories=1, iterations=3, purposes=("winner", "baseline"),
        failing=lambda strategy, trajectory, iteration: "crash",
    )  # fmt: skip
    words = words_of(made.report(tmp_path / "report"))
    assert "No trial has a score" in words and "12 of 12 trials failed" in words
    assert "Failed trials" in words and "simulated crash" in words


@pytest.mark.slow
def test_only_the_baseline_succeeded(tmp_path):
    made = make_study(
        tmp_path / "study", trajectories=1, iterations=3, purposes=("winner", "baseline"),
        failing=lambda strategy, trajectory, iteration: "oom" if iteration else None,
    )  # fmt: skip
    words = words_of(made.report(tmp_path / "report"))
    assert "9 of 12 trials failed (9 oom)" in words
    assert "No search kept a change: every winner is the baseline itself" in words
    assert "Chosen by validation" not in words and "shown to improve" not in words


def test_sealed_test_labels(tmp_path):
    made = make_study(tmp_path / "study", trajectories=1, iterations=3, tables=SCRIPTS_UNTIL_SCORED)
    words = words_of(made.report(tmp_path / "report"))
    assert "Test labels are sealed." in words and "The test labels have not been opened." in words
    assert "Every trial" in words and "no result is claimed" in words
    trials = made.read()["trials"]
    assert f"{len(trials.filter(pl.col('status') != 'ok'))} of {len(trials)} trials failed" in words
    assert not made.read().vault_log


def test_searched_but_not_confirmed(tmp_path):
    made = make_study(tmp_path / "study", trajectories=1, iterations=3, purposes=(), fresh_seeds=())
    words = words_of(made.report(tmp_path / "report"))
    assert "Nothing is confirmed." in words and "no result is claimed" in words
    assert "Chosen by validation" not in words


def test_missing_and_damaged_tables_are_named(tmp_path):
    made = make_study(
        tmp_path / "study", strategies=("random",), trajectories=1, iterations=1, tables=SCRIPTS_UNTIL_SCORED
    )
    floors = made.study / "tables" / "floors.parquet"
    floors.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"floors\.parquet: not a readable Parquet file"):
        made.report(tmp_path / "report")
    floors.unlink()
    with pytest.raises(InputError, match=r"floors\.parquet: no such file"):
        made.report(tmp_path / "report")


def test_the_data_set_of_another_study_is_refused(whole, tmp_path):
    other = shutil.copytree(whole.data, tmp_path / "data")
    edit_json(other / "data.json", splits={"fit": 1})
    with pytest.raises(InputError, match=r"data\.json: not the data set of .*protocol\.json \(splits\.fit: .* -> 1\)"):
        replace(whole, data=other).report(tmp_path / "report")


def test_big_studies_keep_what_matters(whole, monkeypatch, tmp_path):
    from tmelt.report import trial_page

    monkeypatch.setattr(trial_page, "INLINED", 10)
    study = whole.read()
    shown, told = trial_page.chosen_trials(study)
    trials = study["trials"]
    assert len(shown) < len(trials) and f"{len(trials)} trials" in told and str(len(shown)) in told
    key = ["strategy", "trajectory", "iteration"]
    kept = trials.filter(pl.col("incumbent") == pl.col("iteration")).select(key)
    assert len(kept.join(shown, on=key)) == len(kept)


def test_test_error_is_only_drawn_at_the_validation_incumbent(whole, tmp_path):
    study = whole.read()
    draw(study, tmp_path)
    for name in ("trials", "pareto", "steps", "changes"):
        assert not [column for column in pl.read_parquet(tmp_path / f"{name}.parquet").columns if "test" in column]
    curves = pl.read_parquet(tmp_path / "incumbents_trials.parquet").filter(pl.col("split") == "test")
    assert curves.drop("words", strict=False).equals(
        study["bands"].filter((pl.col("axis") == "trials") & (pl.col("split") == "test"))
    )


def test_files_of_figures_are_readable_and_say_what_is_drawn(page):
    folder = page.parent / "figures"
    for path in folder.glob("*.svg"):
        names = {element.tag.split("}")[-1] for element in ElementTree.parse(path).iter()}
        assert "script" not in names and "foreignObject" not in names
    with (folder / "ranking.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} >= {"strategy", "baseline", "predictor"}


def test_small_prices_are_not_rounded_away(whole, tmp_path):
    figure = figure_cost(whole.read())
    ticks = re.findall(r">\$([\d.e-]+)<", svg_of(figure))
    assert len(ticks) > 1 and all(float(tick) > 0 for tick in ticks)


@pytest.mark.slow
def test_same_input_same_bytes(whole, page, tmp_path):
    again = whole.report(tmp_path / "again")
    same = again.read_bytes() == page.read_bytes()
    assert same, "report.html differs"
    for path in sorted((page.parent / "figures").iterdir()):
        if path.suffix != ".parquet":
            same = (again.parent / "figures" / path.name).read_bytes() == path.read_bytes()
            assert same, path.name


def test_a_coding_agent_has_a_section_with_its_command_hosts_and_sessions(edited):
    """As the record of a real session has it (tests/coder); what a tool did not report is unknown."""
    options = {"command": ["agent", "--task", "{prompt}"], "network": ["api.example.com"], "env": ["MY_KEY"]}
    write_json(edited.study / "ua" / "strategy.json", {"kind": "coder", "options": options, "program": None})
    study = edited.read()
    for trial, (calls, usd) in {1: (9, 1.5), 2: (None, None)}.items():
        held = {"status": "ok", "exit": 0, "wall_s": 61.0, "cpu_s": 1.0, "refused": {"evil.example:443": 2}}
        record = {
            "purpose": "session", "request": {"model": "coder:agent"}, "cost_usd": usd,
            "reply": {"text": "", "tool_calls": [], "raw": {"session": {**held, "version": "2.4" if usd else None}}},
            "usage": {"prompt_tokens": None, "completion_tokens": None, "model_calls": calls},
        }  # fmt: skip
        folder = study.trial_folder("ua", 0, trial)
        write_record(folder / "llm" / "01.json", record)
        write_text(folder / "llm" / "01.log", "said")
    heading, terms, table, fold = present(coders.content(study))
    assert heading.text == "ua"
    assert dict(terms.pairs) | {
        "command": "agent --task '{prompt}'",
        "version, as the tool reported it": "2.4",
        "hosts that it may reach": "api.example.com",
        "hosts that it was refused": "evil.example:443 (4 times)",
        "variables, by name": "MY_KEY",
    } == dict(terms.pairs)
    assert table.rows[0][:2] == ["search 0", "2"] and table.rows[0][3:5] == ["9 in 1 of 2", "$1.50 in 1 of 2"]
    assert [row[2] for row in fold.content[0].rows] == ["9", "unknown"]
    assert fold.content[0].rows[0][-1] == "ua/t0/i1/llm/01.log"
    said = words_of(edited.report(edited.study / "report"))
    assert "Coding agents" in said and "api.example.com" in said and "calls unknown, dollars unknown" in said
