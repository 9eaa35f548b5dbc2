"""The page answers the registered question first, and prints each deviation from its plan."""

from dataclasses import replace

import polars as pl
import pytest
from study_records import hypothesis, revision

from tmelt.report.finding import finding
from tmelt.report.registered import registered

PLAN = hypothesis(b="ra", looks=[5, 10])


def _log(*numbers):
    return tuple(
        {
            "opening": place + 1,
            "fresh_seeds": 2,
            "searches": {f"{name}/t{t}": 7 for name in ("ua", "ra") for t in range(n)},
        }
        for place, n in enumerate(numbers)
    )


@pytest.fixture
def asked(whole):
    """A study with a registered hypothesis, at a planned look, with the given row of the comparison."""
    study = whole.read()

    def make(*numbers, looks=(), revisions=(), hypothesis=PLAN, **row):
        changed = study["comparison"].with_columns(
            pl.when((pl.col("metric") == "test_mae") & (pl.col("a") == "ra") & (pl.col("b") == "ua"))
            .then(pl.lit(value, dtype=study["comparison"].schema[name]))
            .otherwise(pl.col(name))
            .alias(name)
            for name, value in row.items()
        )
        protocol = replace(study.protocol, hypothesis=hypothesis, revisions=tuple(revisions))
        return replace(
            study,
            tables={**study.tables, "comparison": changed},
            protocol=protocol,
            vault_log=_log(*numbers),
            looks=tuple(looks),
        )

    return make


ROW = {"difference": 0.9, "low": 0.6, "high": 1.2, "p_value": 0.001, "p_adjusted": 0.002, "verdict": "b better"}


def test_without_a_hypothesis_everything_is_exploratory(whole):
    assert finding(whole.read())[0].startswith("No hypothesis was registered, so every comparison is exploratory. On ")


def test_the_answer_comes_first_and_names_the_better_side(asked):
    study = asked(10, **ROW)
    question, answer, *rest = registered(study)
    assert question.startswith("Registered question: do ua and ra differ in test MAE, by 0.50 °C or more")
    assert "looks at 5 and 10 searches of each" in question
    assert answer.startswith("Answer: ua is established to be better than ra (ra − ua: +0.90 °C, 95 % interval")
    assert "whole interval lies beyond 0.50 °C" in answer
    assert rest == ["Every other comparison is exploratory."]
    assert finding(study)[0].startswith(question)


def test_an_undecided_answer_says_what_the_interval_excludes(asked):
    near = asked(10, **ROW | {"low": -0.2, "high": 0.3, "difference": 0.1, "verdict": "undecided", "p_adjusted": 0.7})
    assert "no difference is established" in registered(near)[1]
    assert "Differences of 0.50 °C or more lie outside the interval." in registered(near)[1]
    wide = asked(10, **ROW | {"low": -0.2, "high": 0.9, "verdict": "undecided", "p_adjusted": 0.2})
    assert "holds differences above and below 0.50 °C" in registered(wide)[1]
    assert registered(asked(10, **ROW | {"p_value": None, "note": "too few"}))[1].startswith("Not answered: too few")


def test_deviations_are_printed(asked):
    text = " ".join(registered(asked(5, 7, **ROW)))
    assert "Deviations from the plan: 7 instead of 10 searches of each so far; 1 unplanned look at test" in text
    assert "Look 2 at test uses 0.014 of the error rate of 0.05, after 0.0056 for earlier looks" in text
    changed = revision("hypothesis.effect: 0.5 -> 0.1", hypothesis=PLAN)
    late = asked(10, revisions=[replace(changed, openings=2)], hypothesis=replace(PLAN, effect=0.1), **ROW)
    assert "by 0.50 °C or more" in registered(late)[0]
    assert "after 2 openings of the test labels, so that it does not count" in " ".join(registered(late))
    early = asked(10, revisions=[changed], hypothesis=replace(PLAN, effect=0.1), **ROW)
    assert "by 0.10 °C or more" in registered(early)[0]
    assert "before the test labels were opened" in " ".join(registered(early))


def test_an_answer_of_an_earlier_look_stays(asked):
    undecided = ROW | {"verdict": "undecided", "p_adjusted": 1.0}
    answer = {"a": "ra", "b": "ua", **ROW}
    kept = asked(10, 12, looks=[{"number": 1, "answer": answer}], **undecided)
    assert registered(kept)[1].startswith("Answer, from look 1: ua is established to be better than ra")
    spent = asked(10, 12, looks=[{"number": 1, "answer": answer | {"verdict": "undecided"}}], **undecided)
    assert "within the error rate of 0.05, which earlier looks used up" in registered(spent)[1]


def test_an_extension_without_a_plan_is_told(asked):
    text = " ".join(registered(asked(5, 8, hypothesis=None)))
    assert "extended after test results could be seen. Look 2 at test uses 0.0061" in text
