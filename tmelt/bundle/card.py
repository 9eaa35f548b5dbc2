"""The model card: what a bundle is, what was measured, what it must not be used for (after Mitchell et al. 2019)."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tmelt.bundle.facts import SCRIPTED
from tmelt.bundle.front_matter import front_matter
from tmelt.bundle.verdict import verdict
from tmelt.study.group import Group
from tmelt.study.target import Target


def write_card(about: Mapping[str, Any]) -> str:
    """The card as Markdown with the Hub's metadata before it, from what bundle.json holds."""
    target = target_of(about)
    parts = [
        f"# {about['study']}: {target.plural} from sequence",
        about["title"],
        f"> **{verdict(about).text}**",
        *(f"> **{label}.**" for label in about["labels"]),
        _what(about),
        "## What was measured",
        *_measured(about),
        *_endpoints(about),
        "## The interval",
        *_interval(about),
        "## What it was trained on",
        *_training(about["training"], target, group_of(about)),
        "## What it is for, and what not",
        *_use(about),
        "## How it was found",
        *_found(about),
        "## Knobs",
        _table(("knob", "value"), [(name, _short(value)) for name, value in sorted(about["knobs"].items())]),
        "In full in bundle.json.",
        "## How to make it again",
        _again(about),
        "## Licence",
        "The study records none: neither for these weights, nor for the data they were trained on. Settle it before "
        "you pass the bundle on. With `training_sequences.txt` every holder of the bundle can test whether a sequence "
        "was trained on.",
    ]
    return front_matter(about, target) + "\n\n".join(part for part in parts if part) + "\n"


def target_of(about: Mapping[str, Any]) -> Target:
    """What a bundle predicts; one of before targets had a name predicts the melting temperature."""
    told = dict(about.get("target") or {})
    return Target(**told | ({"plausible": tuple(told["plausible"])} if "plausible" in told else {}))


def group_of(about: Mapping[str, Any]) -> Group:
    """What the proteins of a bundle's study are grouped by."""
    return Group(**about.get("group") or {})


def _what(about: Mapping[str, Any]) -> str:
    backbone = about["backbone"]
    trained = "untrained" if backbone["untrained"] else "frozen"
    rows = "protein" if backbone["per_protein"] else "residue"
    source = f"{trained} {backbone['name']} embeddings (layer {backbone['layer']}"
    given, target = "", target_of(about)
    higher = f" (a higher value: {target.higher_is})" if target.higher_is else ""
    if backbone["weights"] == "imported":
        source, given = f"embeddings that were computed elsewhere (`{backbone['file']}`", " --embeddings embeddings.h5"
    return (
        f"Predicts the {target.described} of a protein from its sequence{higher}: {source}, "
        f"{backbone['width']} features per {rows}), then `train.py` with "
        f"{_many(len(about['seeds']), 'checkpoint')}, one per training seed; the prediction is their mean.\n\n"
        f"    tmelt predict proteins.fasta --bundle bundle.zip{given} --output predictions.csv"
    )


def _measured(about: Mapping[str, Any]) -> list[str]:
    """Errors beside those of the baseline and of the reference predictors."""
    measured = about["measured"]
    rows = [("**this model**, mean over its seeds", measured["winner"])]
    if measured["baseline"] is not None and not about["winner"]["baseline"]:
        rows.append(("baseline of the study (trial 0)", measured["baseline"]))
    lines = [
        (name, _degrees(row["val_mae"]), _degrees(row["test_mae"]), _range(row["test_low"], row["test_high"]))
        for name, row in rows
    ]
    together = _degrees(measured["winner"]["test_ensemble_mae"])
    ensemble = ("**this model**, mean prediction of its seeds", "–", together, "–")
    floors = [
        (f"{floor['label']} ({floor['kind']})", _degrees(floor["val_mae"]), _degrees(floor["test_mae"]),
         _range(floor["low"], floor["high"]))
        for floor in measured["floors"]
    ]  # fmt: skip
    return [
        _table(
            (target_of(about).head("mean absolute error"), "validation", "test", "95 % interval of test"),
            [lines[0], ensemble, *lines[1:], *floors],
        ),
        f"{about['training']['proteins']['val']} validation and {measured['test_proteins']} test proteins. Validation "
        "guided the searches, so this model's validation error is optimistic; "
        f"{about['training']['proteins']['select']} further proteins (select), which no search saw, chose it among "
        "their last incumbents; test chose nothing. The intervals are those of the study's tables (over protein "
        "families and training seeds).",
        _no_better(measured),
    ]


def _no_better(measured: Mapping[str, Any]) -> str:
    """Predictors without embeddings that do as well on test, if any; stated because it is easily missed."""
    ours = measured["winner"]["test_ensemble_mae"]
    predictors = [floor for floor in measured["floors"] if floor["kind"] == "predictor"]
    equal = [floor["label"] for floor in predictors if (floor["test_mae"] or float("inf")) <= ours]
    return f"**No better on test than: {'; '.join(equal)}.**" if equal else ""


_ENDPOINTS = {
    "spearman": "rank correlation (Spearman)",
    "parent_rho": "rank correlation among the variants of a parent",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "enrichment": "enrichment",
}


def _endpoints(about: Mapping[str, Any]) -> list[str]:
    """Ranks and picks on test."""
    rows = about["measured"].get("endpoints") or []
    if not rows:
        return []
    first = rows[0]
    what = f"the {first['top']:.0%} measured highest"
    if first["threshold"] is not None:
        bound = target_of(about).amount(f"{first['threshold']:g}")
        what = f"{bound} or more ({first['positives']} of {first['proteins']} test proteins)"
    lines = [
        (_ENDPOINTS.get(row["metric"], row["metric"]), _degrees(row["value"]), _range(row["low"], row["high"]))
        for row in rows
    ]
    return [
        "## Ranking and picking",
        _table(("mean over its seeds", "test", "95 % interval"), lines),
        f"Positive: {what}. Enrichment: how many times more positives are among the {first['top']:.0%} of proteins "
        "predicted highest than by chance.",
    ]


def _interval(about: Mapping[str, Any]) -> list[str]:
    """Widths and coverage."""
    measured, training, amount = about["measured"], about["training"], target_of(about).amount
    rows = [
        (f"{row['level']:.0%}", f"± {amount(f'{half:.2f}')}", f"{row['test_coverage']:.1%}")
        for row in measured["coverage"]
        for half in [row["half_width"]]
    ]
    text = (
        f"Split conformal (Vovk et al. 2005; Lei et al. 2018) on the absolute errors of the mean prediction on the "
        f"{training['proteins']['select']} proteins of select: the same width for every protein. It is made to hold "
        "the measured value of the stated share of proteins that are drawn like those of the study. No search saw "
        "these proteins; they chose the model among a few incumbents, so true coverage may be a little lower than "
        "stated."
    )
    if not rows:
        return [text, "Select has too few proteins for an interval of any level shown here."]
    return [text, _table(("level", "half width", f"held on {measured['test_proteins']} test proteins"), rows)]


def _training(training: Mapping[str, Any], target: Target, group: Group) -> list[str]:
    low, high = (f"{value:.1f}" for value in training["tm"])
    middle = target.amount(f"{training['tm_median']:.1f}")
    counts = training["proteins"]
    organisms = sorted(training["organisms"].items(), key=lambda item: (-item[1], item[0]))
    return [
        f"{training['description']}. Trained on {counts['fit']} proteins, stopped on {counts['stop']}; "
        f"{training['length'][0]} to {training['length'][1]} residues; {target.symbol} "
        f"{target.amount(f'{low} to {high}')}, median {middle}. Data set `{training['dataset']}`. "
        f"Residues beyond the 20 amino acids: policy `{training['nonstandard']}`.",
        _table((group.name, "proteins trained on"), organisms),
    ]


def _use(about: Mapping[str, Any]) -> list[str]:
    training, target = about["training"], target_of(about)
    low, high = (f"{value:.0f}" for value in training["tm"])
    limits = [
        *(f"{label}." for label in about["labels"]),
        f"Proteins unlike those above ({group_of(about).plural}, {training['length'][0]} to {training['length'][1]} "
        f"residues, "
        f"{target.amount(f'{low} to {high}')}) are extrapolations; `predict` warns by length and {target.symbol}, "
        "not by kinship, and the interval does not widen.",
        "Single mutations were no part of training or of any measurement here: differences between close variants are "
        "not what the errors above are about.",
        f"A measured {target.symbol} depends on assay and conditions; the model knows those of its data alone.",
        "`train.py` is a program, perhaps written by a model: `predict` runs it in a sandbox without network. Its hash "
        "in bundle.json shows damage; it is no signature.",
    ]
    return [
        "For ranking and screening proteins like those it was trained on, with the interval beside each number.",
        "\n".join(f"- {limit}" for limit in limits),
    ]


def _found(about: Mapping[str, Any]) -> list[str]:
    """The searches that ended with this candidate."""
    winner, amount = about["winner"], target_of(about).amount
    script = "the reference script" if winner["reference_script"] else "a script of its own"
    head = f"Candidate `{winner['candidate']}`: {script} (SHA-256 `{winner['script_sha256'][:12]}…`)."
    if winner["baseline"]:
        head += " It is the baseline: no search found anything better on select with fresh seeds."
    lines = []
    for search in winner["searches"]:
        by = {None: "", "playbook": f", {SCRIPTED}"}.get(search["model"], f", model {search['model']}")
        line = (
            f"- `{search['strategy']}` ({search['kind']}{by}), search {search['trajectory']}, "
            f"trial {search['iteration']}, proposed by: {search['origin']}"
        )
        if why := " ".join((json.loads(search["proposal"]).get("rationale") or "").split()):
            line += f". In its words: “{why[:500]}”"
        lines.append(line)
    over = [
        f"- Passed over: `{other['candidate']}`, better on select ({amount(f'{mae:.2f}')}), for its checkpoint "
        f"cannot be kept: {other['fault']}."
        for other in about["passed_over"]
        for mae in [other["select_mae"]]
    ]
    return [head, "\n".join(lines + over)]


def _again(about: Mapping[str, Any]) -> str:
    software, harness, backbone = about["software"], about["harness"], about["backbone"]
    packages = ", ".join(f"{name} {version}" for name, version in sorted(software["packages"].items()))
    seeds = ", ".join(map(str, about["seeds"]))
    revised = f", revised {_many(about['revisions'], 'time')}" if about["revisions"] else ""
    return (
        f"Run the study `{about['study']}` again with its config (protocol `{about['protocol_sha256'][:12]}…`"
        f"{revised}); its rule `write_bundle` makes the bundle. Seeds {seeds}; {harness['precision']} on "
        f"{harness['device']}; backbone weights `{backbone['weights_sha256'][:12]}…` ({backbone['weights']}), "
        f"{backbone['precision']}. Made with Python {software['python']}, {packages}."
    )


def _table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _degrees(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _range(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.2f} to {high:.2f}"
