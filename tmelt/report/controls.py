"""Controls on the page: impossible studies, other faults of trial 0, control arms, and what agents are told."""

from collections.abc import Iterator

from tmelt.evidence.comparison import REFERENCE
from tmelt.report.inputs import ReportStudy
from tmelt.report.words import listing


def control_notes(study: ReportStudy) -> Iterator[tuple[str, str, str]]:
    """(level, title, text) of each caution about controls."""
    yield from _shuffled(study)
    baseline = study.protocol.design.baseline
    if baseline != "published":
        which = "all known faults of it are remedied"
        if not isinstance(baseline, str):
            which = f"{baseline['planted']} other faults were planted in it (seed {baseline['seed']})"
        yield "note", "Trial 0 is not the published one.", f"By design.baseline {which}."
    arms = [(name, study.kind(name)) for name in study.strategies]
    told = [f"{name} {kind.control}" for name, kind in arms if kind and kind.control]
    if told:
        yield "note", "Control arms.", f"{'; '.join(told)}."


def _shuffled(study: ReportStudy) -> Iterator[tuple[str, str, str]]:
    """An impossible study: no arm can improve on a reference predictor but by cheating or by chance."""
    if not study.facts.shuffled_labels:
        return
    yield (
        "warning",
        "Impossible study.",
        f"The {study.target.plural} were shuffled within each split: nothing can be learnt from a sequence, and every "
        "apparent success is an artefact.",
    )
    constant = study["floors"].filter(name="median").drop_nulls("val_mae")
    if not len(constant):
        return
    trivial = constant.row(0, named=True)
    paired = study["comparison"].filter(b=REFERENCE, metric="test_mae").drop_nulls("high")  # of one arm
    found = {row["a"] for row in paired.to_dicts() if row["high"] < 0}
    levels = study["strategies"].drop_nulls("test_high").to_dicts()
    found |= {row["strategy"] for row in levels if row["test_high"] < (trivial["test_mae"] or 0.0)}
    if better := [name for name in study.strategies if name in found]:
        yield (
            "danger",
            "Improvement where there is nothing to learn.",
            f"The test error of {listing(better)} and its 95 % interval lie below the reference predictors, which know "
            "nothing. The labels leak, the arm cheats, or it is chance, which allows this in 2.5 %.",
        )
    reached = trivial["val_mae"]
    lucky = [
        f"{row['strategy']} ({study.amount(row['search_val_mae'])})"
        for row in study["strategies"].drop_nulls("search_val_mae").sort(study.place()).to_dicts()
        if row["search_val_mae"] < reached
    ]
    if lucky:
        yield (
            "warning",
            "Validation was overfitted.",
            f"The searches of {listing(lucky)} ended below the {study.amount(reached)} of a constant prediction on "
            "validation, where nothing better can be known: that much is selection among trials.",
        )


def _searches_without_llm(study: ReportStudy) -> str:
    """The subject of what searches without an LLM are told, by the titles of their kinds."""
    declared = [kind for name in study.strategies if (kind := study.kind(name)) and not kind.agent]
    titles = listing(list(dict.fromkeys(kind.title for kind in declared))) or "a search without an LLM"
    return f"{titles[:1].upper()}{titles[1:]} {'get' if ' and ' in titles else 'gets'}"


def what_is_told(study: ReportStudy) -> str:
    """What agents are told and samplers are not; empty without agents."""
    agents = [name for name in study.strategies if study.model(name)]
    if not agents:
        return ""
    kinds = {name: study.kind(name) for name in agents}
    scripts = [name for name, kind in kinds.items() if kind and kind.writes_scripts]
    hidden = [name for name, kind in kinds.items() if kind and kind.hides_task]
    parts = [
        f"{_searches_without_llm(study)} the ranges of the knobs, and of each trial its values and its validation "
        "error or failure.",
        f"Agents ({listing(agents)}) are also told the meaning of each knob, that the task is {study.target.name} from "
        "frozen ESM-2 embeddings, the data set's description and split sizes, the budget of a run, and of each trial "
        "the errors on fit and stop proteins, the margin, training seconds, decisions, failure messages and earlier "
        "reasons. Errors are told to them as means over seeds, rounded to about half the margin.",
        "A language model has in addition whatever it was trained on, which may include the published baseline and its "
        "remedies. No prompt names a fault of trial 0 or a remedy.",
    ]
    if scripts:
        parts.insert(2, f"{listing(scripts)} see and write the training script, so their search space is larger.")
    if hidden:
        parts.append(f"{listing(hidden)}: the same numbers, without the names and meanings.")
    if scripted := [name for name in study.scripted if name not in hidden]:
        parts.append(
            f"The scripted playbook of {listing(scripted)} holds its authors' knowledge: it tries remedies of the "
            "published faults early. What it gains there is no result of a search."
        )
    return " ".join(parts)
