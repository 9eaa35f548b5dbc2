"""How long a trial on a table will take on this machine, in words: `tmelt check --time`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from tmelt.embed.settings import ARCHITECTURES
from tmelt.harness.training_speed import Speed, measure_speed
from tmelt.search.knobs import space_of_config
from tmelt.study.baseline import with_baseline
from tmelt.study.config import Design, load_config
from tmelt.study.status import span

if TYPE_CHECKING:
    from tmelt.proteins.check import Checked

_USUAL = "esm2_t30_150M_UR50D"
_CHECKED_AGAIN = 0.1  # share of the pool that is predicted a second time


def trial_time(checked: "Checked", config: Path | None, table: Path) -> list[str]:
    """Measure the reference script for a second, and say what a trial on this table takes at most.

    Args:
        checked: the table, with proteins.
        config: a study's config, whose knobs, backbone and budget count; the defaults where it has only a `data:` part.
        table: the table.

    Raises:
        InputError: the config has a fault.
        InfrastructureError: the reference script fails here.
    """
    if checked.split is None:
        return ["not measured: the table cannot be split"]
    design, threads, seeds = _settings(checked, config, table)
    if design.device == "cuda":
        return ["not measured: the config's device is cuda, and only a CPU is measured here"]
    features = ARCHITECTURES.get(design.backbone.name, ARCHITECTURES[_USUAL])[1]
    knobs = with_baseline(space_of_config(design.space), design.baseline).defaults()
    lengths = [len(protein.sequence) for protein in checked.proteins]
    speed = measure_speed(lengths, features=features, knobs=knobs, threads=threads, precision=design.precision)
    seconds = most_seconds(checked.split["counts"], lengths, knobs, speed)
    cores = "one core" if threads == 1 else f"{threads} cores"
    lines = [
        f"one training of trial 0: at most about {_amount(seconds)} on {cores} of this machine, for"
        f" {knobs['epochs']} epochs with {features} numbers per residue; it ends earlier if the error stops falling",
        f"a trial: as many trainings as the study has seeds{f' ({seeds})' if seeds else ''}, side by side where there"
        " are cores, and 1 to 2 CPU seconds besides",
        "measured just now by a second of training on random embeddings; other knobs and scripts take other times,"
        f" design.budget.fit_s ends a training after {_amount(design.budget.fit_s)}, and embedding and calls to an LLM"
        " come on top",
    ]
    if seconds > design.budget.fit_s:
        lines.append("that is more than the budget: raise design.budget.fit_s, or give design.space fewer epochs")
    return lines


def _settings(checked: "Checked", config: Path | None, table: Path) -> tuple[Design, int, int | None]:
    """Design, threads of a training and number of seeds: those of the config, or the defaults."""
    whole = yaml.safe_load(config.read_text(encoding="utf-8")) if config else None
    if isinstance(whole, dict) and "extent" in whole:
        study = load_config(config or Path(), table)
        return study.design, study.runtime.threads, len(study.extent.seeds)
    raw = {"data": checked.data, "backbone": {"name": _USUAL, "weights": "download"}}
    return Design.model_validate(raw), 1, None


def _amount(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else span(seconds)


def most_seconds(counts: Mapping[str, int], lengths: Sequence[int], knobs: Mapping[str, Any], speed: Speed) -> float:
    """Return the seconds of one training with all its epochs, and of the predictions after it.

    Args:
        counts: proteins of each split.
        lengths: residues of all proteins; every split is taken to have their mean.
        knobs: complete.
        speed: of this machine.
    """
    whole = sum(lengths) / len(lengths)
    window = sum(min(length, knobs["crop"]) for length in lengths) / len(lengths)
    epoch_s = counts["fit"] * window / speed.training + counts["stop"] * whole / speed.prediction
    pool = sum(counts[part] for part in ("stop", "val", "select", "test"))
    return float(knobs["epochs"] * epoch_s + (1 + _CHECKED_AGAIN) * pool * whole / speed.prediction)
