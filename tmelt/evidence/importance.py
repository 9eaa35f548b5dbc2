"""Which knobs matter, over the trials of all searches: PED-ANOVA (Watanabe et al. 2023) by Optuna."""

import json
from typing import Any

import polars as pl

from tmelt.evidence.schema import IMPORTANCE
from tmelt.evidence.tables import table
from tmelt.search.knobs import Space
from tmelt.strategies.optuna_space import distribution

LEAST_TRIALS = 20  # below, the best tenth is a trial or two
_NOTES = {
    "all": "trials of all strategies; searches crowd where they expect gains, so this tells what told good from bad"
    " among what was tried",
}


def importance(trials: pl.DataFrame, reference: str, space: Space) -> pl.DataFrame:
    """The table `importance`, for all strategies together and for each with enough trials; knobs that were varied.

    Args:
        reference: SHA-256 of the reference script; trials of other scripts and cheap trials are left out.
    """
    full = (pl.col("status") == "ok") & (pl.col("fidelity") == 1)
    usable = trials.filter(full & (pl.col("script") == reference))
    rows = _scope("all", usable, space)
    for strategy in trials["strategy"].unique(maintain_order=True):
        rows += _scope(strategy, usable.filter(pl.col("strategy") == strategy), space)
    return table(rows, IMPORTANCE)


def _scope(scope: str, trials: pl.DataFrame, space: Space) -> list[dict[str, Any]]:
    if len(trials) < LEAST_TRIALS or trials["val_mae"].n_unique() < 2:
        return []
    import optuna

    tried = [(json.loads(text), value) for text, value in trials.select("knobs", "val_mae").iter_rows()]
    # The method compares densities of few and many points, and so credits a knob that was never changed.
    varied = [knob for knob in space if len({knobs[knob.name] for knobs, _ in tried if knob.name in knobs}) > 1]
    if len(varied) < 2:
        return []
    distributions = {knob.name: distribution(knob) for knob in varied}
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for complete, value in tried:
            knobs = {name: v for name, v in complete.items() if name in distributions}
            study.add_trial(
                optuna.trial.create_trial(
                    params=knobs, distributions={name: distributions[name] for name in knobs}, value=value
                )
            )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(level)
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return [
        {
            "scope": scope,
            "method": "ped_anova",
            "knob": name,
            "importance": float(value),
            "rank": rank,
            "trials": len(trials),
            "note": _NOTES.get(scope),
        }
        for rank, (name, value) in enumerate(ranked, 1)
    ]
