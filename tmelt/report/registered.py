"""The registered question and its answer, before everything else that a page says."""

from collections.abc import Mapping
from typing import Any

from tmelt.evidence.looks import Look, looks, registered_hypothesis, registered_row
from tmelt.evidence.verdict import ALPHA
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import count, interval, listing
from tmelt.study.protocol_record import RegisteredHypothesis


def registered(study: ReportStudy) -> list[str]:
    """The registered hypothesis, its answer and the deviations from its plan; or that none was registered."""
    hypothesis = registered_hypothesis(study.protocol)
    seen = looks(study.vault_log, hypothesis)
    if hypothesis is None:
        return ["No hypothesis was registered, so every comparison is exploratory.", *_extra_looks(seen), *_late(study)]
    plan = hypothesis.looks
    when = (
        f"with looks at {listing([str(searches) for searches in plan])} searches of each"
        if len(plan) > 1
        else f"with {count(plan[0], 'search', 'searches')} of each"
    )
    question = (
        f"Registered question: do {hypothesis.a} and {hypothesis.b} differ in test MAE, by "
        f"{study.amount(hypothesis.effect)} or more ({when})?"
    )
    return [
        question,
        _answer(study, hypothesis, seen),
        *_deviations(study, hypothesis, seen),
        "Every other comparison is exploratory.",
    ]


def _answer(study: ReportStudy, hypothesis: RegisteredHypothesis, seen: list[Look]) -> str:
    row = registered_row(study["comparison"], hypothesis)
    if row is None:
        for side in (hypothesis.a, hypothesis.b):
            if side in study.not_tried:
                return f"Not answered: {side} was not tried."
        return "Not answered: one side has no confirmed winner."
    span = interval(row["low"], row["high"], signed=True)
    seen_text = f"{row['a']} − {row['b']}: {study.amount(row['difference'], signed=True)}" + (
        f", 95 % interval {span}" if span else ""
    )
    if row["p_value"] is None:
        return f"Not answered: {row['note'] or 'it cannot be tested'} ({seen_text})."
    if row["verdict"] in ("a better", "b better"):
        return f"Answer: {_established(study, row)}.{_size(study, row, hypothesis.effect)}"
    for before in study.looks:
        if before["number"] < len(seen) and before["answer"]["verdict"] in ("a better", "b better"):
            return f"Answer, from look {before['number']}: {_established(study, before['answer'])}; now {seen_text}."
    if seen and seen[-1].alpha == 0:
        return (
            f"Answer: no difference was established within the error rate of {ALPHA:g}, which earlier looks used up; "
            f"now {seen_text}."
        )
    return f"Answer: no difference is established ({seen_text}; adjusted p = {row['p_adjusted']:.2g})." + _size(
        study, row, hypothesis.effect
    )


def _established(study: ReportStudy, row: Mapping[str, Any]) -> str:
    ahead, behind = (row["a"], row["b"]) if row["verdict"] == "a better" else (row["b"], row["a"])
    return (
        f"{ahead} is established to be better than {behind} ({row['a']} − {row['b']}: "
        f"{study.amount(row['difference'], signed=True)}, 95 % interval "
        f"{interval(row['low'], row['high'], signed=True)}; adjusted p = {row['p_adjusted']:.2g})"
    )


def _size(study: ReportStudy, row: Mapping[str, Any], effect: float) -> str:
    """What the interval says about the smallest effect of interest."""
    if row["low"] is None:
        return ""
    if max(abs(row["low"]), abs(row["high"])) < effect:
        return f" Differences of {study.amount(effect)} or more lie outside the interval."
    if row["low"] > effect or row["high"] < -effect:
        return f" The whole interval lies beyond {study.amount(effect)}."
    return f" The interval holds differences above and below {study.amount(effect)}."


def _deviations(study: ReportStudy, hypothesis: RegisteredHypothesis, seen: list[Look]) -> list[str]:
    found = []
    if seen and seen[-1].searches != hypothesis.searches:
        found.append(f"{seen[-1].searches} instead of {hypothesis.searches} searches of each so far")
    if unplanned := [look for look in seen if not look.planned]:
        found.append(
            f"{count(len(unplanned), 'unplanned look')} at test (at "
            f"{listing([str(look.searches) for look in unplanned])} searches)"
        )
    sentences = [f"Deviations from the plan: {'; '.join(found)}."] if found else []
    if len(seen) > 1 or found:
        sentences.append(_level(seen))
    return [*sentences, *_late(study)]


def _extra_looks(seen: list[Look]) -> list[str]:
    if len(seen) < 2:
        return []
    return [f"The study was extended after test results could be seen. {_level(seen)}"]


def _level(seen: list[Look]) -> str:
    if not seen:
        return ""
    last = seen[-1]
    return (
        f"Look {last.number} at test uses {last.alpha:.2g} of the error rate of {ALPHA:g}, after {last.spent:.2g} for "
        "earlier looks; adjusted p values account for it."
    )


def _late(study: ReportStudy) -> list[str]:
    """Revisions of the hypothesis."""
    sentences = []
    for revision in study.protocol.revisions:
        changes = [change for change in revision.changes if change.startswith("hypothesis")]
        if not changes:
            continue
        opened = revision.openings
        after = f"after {count(opened, 'opening')} of the test labels, so that it does not count" if opened else ""
        sentences.append(
            f"Deviation: the hypothesis was changed on {revision.at} ({'; '.join(changes)})"
            + (f", {after}." if after else ", before the test labels were opened.")
        )
    return sentences
