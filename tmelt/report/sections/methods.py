"""How the study was made, from what was recorded: as a paper would tell it, and item by item."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from tmelt.evidence.verdict import FEW
from tmelt.report.blocks import Block, Table, Terms, Text
from tmelt.report.controls import what_is_told
from tmelt.report.inputs import ReportStudy
from tmelt.report.sections.section import Section
from tmelt.report.words import capital, count, listing, seconds, value


def content(study: ReportStudy) -> Iterator[Block | None]:
    """The methods as a paragraph and item by item, and the search space."""
    yield Text(methods_paragraph(study), small=False)
    yield Terms(methods(study))
    yield search_space_table(study).labelled("Knobs", kind="words").folded("Knobs of the reference candidate")


SECTION = Section("methods", "Methods", content)
_QUESTION = "On the same budget, which way of searching finds the best predictor of {target} from sequence?"


def methods_paragraph(study: ReportStudy) -> str:
    """The study as a paper's methods section would tell it, from what was recorded."""
    limits = study.protocol.design.budget
    seeds = study["runs"]["seed"].n_unique() or int(study["trials"]["seeds"].list.len().max() or 0)
    sentences = [
        *_told_data(study),
        f"{count(len(study.strategies), 'strategy', 'strategies')} ({listing(study.strategies)}) searched for a "
        f"training script and its knobs, each in {count(study.trajectories, 'separate search', 'separate searches')} "
        f"of {study.length}{',' if study.used_up else ''} after a common baseline.",
        f"A trial trains one candidate with {count(seeds, 'training seed')}"
        f" for at most {limits['fit_s']:g} s of {_clock(study)} each"
        "; a harness apart from the candidate's process measures the mean absolute error on validation proteins, "
        "which alone decides what is kept.",
        _told_features(study),
        *_told_confirmation(study),
    ]
    return " ".join(sentences)


def _told_data(study: ReportStudy) -> list[str]:
    if not study.splits:
        return []
    weights = " with random weights" if study.untrained else ""
    embeddings = f"residue embeddings of {study.embedding.backbone}{weights}, which was not trained further"
    return [
        f"{capital(study.target.plural)} of {sum(study.splits.values()):,} proteins ({_splits(study)}) were "
        f"predicted from {embeddings}."
    ]


def _told_confirmation(study: ReportStudy) -> list[str]:
    confirmed = study["confirmed_runs"]
    if not len(confirmed):
        return []
    openings = f" ({count(len(study.vault_log), 'opening')}, listed above)" if study.vault_log else ""
    return [
        "Afterwards the incumbent with the lowest error on select, proteins that no search saw, became the winner of "
        "each search (chosen among its last incumbents); the winners and the baseline were retrained with "
        f"{count(confirmed['seed'].n_unique(), 'fresh seed')}, and their test error was measured; test labels were "
        f"opened only then{openings}.",
        "Intervals are 95 % intervals from one model of error: families of homologous proteins, training seeds and "
        "distinct searches vary; proteins and shared seeds are paired; searches that end at the same predictions are "
        "one observation. A statement needs an adjusted p below .05: the p of this model and, between strategies, that "
        f"of an exact permutation test over at least {FEW} distinct searches each, whichever is larger, adjusted by "
        "Holm's procedure for every contrast that the page tests.",
    ]


def command_of(study: ReportStudy) -> str:
    """How to run the study again or further, as it was run as far as is known."""
    design = study.protocol.design
    files = " ".join(study.configs)
    own = not study.synthetic
    if not files:
        start = "snakemake --profile profiles/default --configfile followed by this study's config file"
    elif len(study.configs) == 1:
        source = " SOURCE=" + (study.facts.source) if own else ""
        start = f"make study CONFIG={files}{source}, or snakemake --profile profiles/default --configfile {files}"
        start += f" --config{source.replace(' SOURCE', ' source')}" if own else ""
    else:
        start = f"snakemake --profile profiles/default --configfile {files}"
    on_gpu = "; on a cluster: --profile slurm" if design.device == "cuda" else ""
    return (
        f"{start}{on_gpu}. It resumes where it stopped; finished trials are not run again. With replay: strict under "
        "runtime: in the config the recorded replies of the models are used instead of new calls."
    )


def methods(study: ReportStudy) -> list[tuple[str, str]]:
    """(what, how): everything that it takes to judge or repeat the study."""
    rows = [
        ("Question", _QUESTION.format(target=study.target.name)),
        ("Data", _data(study)),
        ("Backbone", _backbone(study)),
        ("Budget of a run", _budget(study)),
        ("Sandbox", _sandbox(study)),
        ("Seeds", _seeds(study)),
        ("Decision", _decision(study)),
        (
            "Evidence",
            "Each search's winner, of its last incumbents the one with the lowest error on select, and the baseline "
            "are retrained on fresh seeds; the number that counts is their test MAE. Intervals: 95 %, over protein "
            "families, training seeds and distinct searches. "
            "With one distinct search of a strategy they say how good its winner is, not how another search would end; "
            f"with fewer than {FEW} no strategy is called better than another.",
        ),
        *((f"Strategy {name}", _strategy(study, name)) for name in study.strategies),
        ("What agents are told", what_is_told(study)),
        ("Prices", _join(*study["cost"]["note"].drop_nulls().unique().sort().to_list())),
        ("Hardware", _hardware(study)),
        ("Time spent", _time_spent(study)),
        ("Versions", _versions(study)),
        ("Config file", ", ".join(study.configs)),
        ("Protocol", _protocol(study)),
        ("Commands", command_of(study)),
    ]
    return [(name, text) for name, text in rows if text]


def _data(study: ReportStudy) -> str:
    facts = study.facts
    splits = _splits(study)
    return _join(
        facts.description,
        f"source: {facts.source}",
        f"split {facts.split.get('method', 'as given')}: {splits}" if splits else None,
        *(f"SHA-256 of {path}: {digest}" for path, digest in facts.files.items()),
    )


def _splits(study: ReportStudy) -> str:
    return ", ".join(f"{proteins:,} {name}" for name, proteins in study.splits.items())


def _backbone(study: ReportStudy) -> str:
    embedding = study.embedding
    return _join(
        embedding.backbone,
        f"layer {embedding.layer}",
        f"width {embedding.width}",
        embedding.precision,
        "random weights (untrained)" if study.untrained else None,
        "other weights than the released ones" if study.other_weights else None,
        "the released weights" if embedding.released else None,
        f"weights SHA-256 {embedding.weights_sha256}",
    )


def _told_features(study: ReportStudy) -> str:
    """What scripts see of a protein besides its embedding."""
    granted = study.protocol.design.sequences
    seen = {
        "none": "No script sees an amino-acid sequence",
        "fit": "Scripts see amino-acid sequences in training, not in prediction",
        "all": "Scripts see amino-acid sequences, also in prediction, where a protein can be recognised by them",
    }[granted]
    return (
        f"{seen} (sequences: {granted}); beside the embedding a script may use composition and length, which the "
        "reference script, and with it every strategy that only sets knobs, does not."
    )


def _clock(study: ReportStudy) -> str:
    """What the seconds of the budget are."""
    design = study.protocol.design
    return "wall-clock time" if design.device == "cuda" else "CPU time per granted thread"


def _budget(study: ReportStudy) -> str:
    design = study.protocol.design
    return _join(
        *(f"{name} {limit}" for name, limit in design.budget.items()),
        f"device {design.device}",
        f"threads {design.threads}",
        f"seconds of {_clock(study)}",
    )


def _sandbox(study: ReportStudy) -> str:
    design = study.protocol.design
    return _join(_different(study["runs"], "sandbox"), f"asked for: {design.sandbox}")


def _seeds(study: ReportStudy) -> str:
    fresh = _different(study["confirmed_runs"], "seed")
    return _join(
        f"search: {_different(study['runs'], 'seed') or 'none'}",
        f"confirmation: {fresh}" if fresh else "no confirmation",
    )


def _decision(study: ReportStudy) -> str:
    rule = study.protocol.design.decision
    margins = study["trials"]["margin"].drop_nulls()
    typical = f" (here {study.target.amount(f'{margins.median():.2f}')} in the median)" if len(margins) else ""
    return (
        "A candidate replaces the incumbent if its mean validation MAE over the training seeds is lower by more than "
        f"{rule.z} standard errors of the difference{typical}, which hold the noise between training seeds "
        "(pooled) and between proteins (paired, by family); inside that margin the simpler one stays."
    )


def _strategy(study: ReportStudy, name: str) -> str:
    described = study.settings.get(name)
    if described is None:
        return "its settings were not recorded"
    model = study.model(name)
    agent = "scripted playbook, no LLM" if model == "playbook" else model
    options = {key: value for key, value in described.get("options", {}).items() if key != "model"}
    return _join(
        f"kind {described.get('kind')}",
        f"agent: {agent}" if agent else None,
        *(f"{key} {value}" for key, value in options.items()),
        f"prompt SHA-256 {described['program']}" if described.get("program") else None,
    )


def _hardware(study: ReportStudy) -> str:
    runs, environment = study["runs"], study.protocol.environment
    return _join(
        _different(runs, "host_cpu") or environment.processor,
        count(environment.cores, "core") if environment.cores else None,
        _different(runs, "device"),
        environment.system,
    )


def _time_spent(study: ReportStudy) -> str:
    runs, confirmed = study["runs"], study["confirmed_runs"]
    return (
        f"{seconds(float(runs['fit_s'].sum()))} of training in the searches ({count(len(runs), 'run')}), "
        f"{seconds(float(confirmed['fit_s'].sum()))} in the confirmation ({count(len(confirmed), 'run')})"
    )


def _versions(study: ReportStudy) -> str:
    environment = study.protocol.environment
    return _join(
        f"Python {environment.python}",
        *(f"{name} {version}" for name, version in environment.packages.items()),
    )


def _protocol(study: ReportStudy) -> str:
    protocol, design = study.protocol, study.protocol.design
    return _join(
        f"SHA-256 {protocol.sha256}",
        f"fixed {protocol.created}",
        count(len(protocol.revisions), "revision"),
        f"reference script {study.reference}",
        f"data set {design.dataset}",
        f"embedding {design.backbone}",
    )


def _different(runs: pl.DataFrame, column: str) -> str:
    """The values that occur in a column, in order."""
    return ", ".join(map(str, runs[column].drop_nulls().unique().sort()))


def _join(*parts: Any) -> str:
    return "; ".join(str(part) for part in parts if part)


def search_space_table(study: ReportStudy) -> Table:
    """The knobs of the reference candidate."""
    rows: list[list[str]] = []
    for knob in study.protocol.space:
        condition = f"; only if {knob.when[0]} is {' or '.join(map(str, knob.when[1]))}" if knob.when else ""
        rows.append([knob.name, knob.range_text(), value(knob.default), knob.unit, knob.meaning + condition])
    return Table(["knob", "range", "default", "unit", "meaning"], rows)
