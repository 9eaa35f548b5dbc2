"""External test sets: scores of the winners on them, and how far they are from what candidates were trained on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tmelt.errors import InputError
from tmelt.evidence.endpoints import ALL_NAMES, Model, measured_of, model_rows, named_models, score_rows
from tmelt.evidence.error_model import estimate
from tmelt.evidence.floors import composition, fit_ridge
from tmelt.evidence.schema import (
    CONFIRMED_PREDICTIONS,
    EXTERNAL,
    EXTERNAL_SETS,
    OPENED_LABELS,
    WINNER_PREDICTIONS,
)
from tmelt.evidence.tables import table, typed
from tmelt.evidence.winners import Confirmed, winner_predictions
from tmelt.study.config import Endpoints

SPLIT = "external"  # the split of an external set's proteins
PARTS = ("all", "distant")
DOMAIN_MOST = 2000  # proteins of fit, and of the set, that are told apart
DOMAIN_LEAST = 20  # of either


def opened_labels(proteins: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Labels of an external set as tmelt.evidence.schema.OPENED_LABELS.

    Args:
        proteins: tmelt.evidence.schema.EXTERNAL_PROTEINS.
        labels: tmelt.storage.schema.LABELS of the set.

    Raises:
        InputError: they are not of the same proteins.
    """
    if proteins["protein_id"].to_list() != labels["protein_id"].to_list():
        raise InputError("external set: its labels are not those of its proteins; delete its folder and run again")
    return typed(
        proteins.with_columns(
            split=pl.lit(SPLIT), length=pl.col("sequence").str.len_chars(), tm=labels["tm"], parent=labels["parent"]
        ),
        OPENED_LABELS,
    )


def confirmed_on(predicted: Sequence[pl.DataFrame], labels: pl.DataFrame) -> Confirmed:
    """Predictions of an external set by candidate and fresh seed.

    Args:
        predicted: tmelt.evidence.schema.EXTERNAL_PREDICTED of each candidate; those with a note are left out.
        labels: of the proteins to keep (OPENED_LABELS).
    """
    kept = [
        frame.filter(pl.col("note").is_null() & pl.col("protein_id").is_in(labels["protein_id"].to_list()))
        for frame in predicted
    ]
    frame = pl.concat(kept) if kept else pl.DataFrame()
    return Confirmed.of(typed(frame.with_columns(split=pl.lit(SPLIT)), CONFIRMED_PREDICTIONS), labels)


def external_scores(
    name: str,
    proteins: pl.DataFrame,
    opened: pl.DataFrame,
    predicted: Sequence[pl.DataFrame],
    plan: pl.DataFrame,
    study: pl.DataFrame,
    asked: Endpoints,
) -> pl.DataFrame:
    """Rows of the table `external` of one set: every score of baseline, winners, strategies and simple predictors.

    Args:
        name: of the set.
        proteins: tmelt.evidence.schema.EXTERNAL_PROTEINS.
        opened: from `opened_labels`.
        predicted: see `confirmed_on`.
        plan: tmelt.evidence.schema.PLAN.
        study: proteins.parquet of the study.
        asked: the endpoints of the config.
    """
    simple = _simple(study, proteins["sequence"].to_list())
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        kept = np.ones(len(opened), bool) if part == "all" else ~proteins["homologous"].to_numpy()
        if not kept.any() or (part == "distant" and kept.all()):
            continue  # nothing is left, or the same once more
        labels = opened.filter(pl.Series(kept))
        confirmed = confirmed_on(predicted, labels)
        measured = measured_of(labels, asked)
        found = [
            *model_rows(confirmed, SPLIT, plan, measured, ALL_NAMES),
            *_differences(confirmed, plan),
            *(
                {"role": "floor", "strategy": label, "trajectory": None} | row
                for label, values in simple.items()
                for row in score_rows(Model([values[kept][None]], None, (label,)), measured, ALL_NAMES)
            ),
        ]
        rows += [{"set": name, "part": part} | row | measured.facts() for row in found]
    rows += _missing(name, predicted, plan)
    return table(rows, EXTERNAL)


def _missing(name: str, predicted: Sequence[pl.DataFrame], plan: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows without a value of what could not predict the set, and why."""
    faults = {frame["candidate"][0]: frame["note"][0] for frame in predicted if frame["note"][0] is not None}
    for row in plan.filter(pl.col("purpose").is_in(["winner", "baseline"])).iter_rows(named=True):
        if (note := faults.get(row["candidate"])) is not None:
            about = {"role": row["purpose"], "strategy": row["strategy"], "trajectory": row["trajectory"]}
            yield {"set": name, "part": PARTS[0], "metric": "mae", "note": note} | about


def _differences(confirmed: Confirmed, plan: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """MAE of each winner and strategy minus that of the baseline."""
    baseline = next(
        (about["candidates"][0] for about in named_models(confirmed, plan) if about["role"] == "baseline"), None
    )
    if baseline is None:
        return
    base = confirmed.arm(baseline, SPLIT)
    for about in named_models(confirmed, plan):
        if about["role"] == "baseline":
            continue
        arm = confirmed.arm_of_searches(about["candidates"], SPLIT)
        same = all(confirmed.outcome(one) == confirmed.outcome(baseline) for one in about["candidates"])
        found = estimate(arm, base, confirmed.clusters(SPLIT))
        low, high = (0.0, 0.0) if same else found.interval()
        yield {key: about[key] for key in ("role", "strategy", "trajectory")} | {
            "metric": "mae_difference",
            "value": 0.0 if same else found.value,
            "low": low,
            "high": high,
            "note": "the winner is the baseline itself" if same else None,
        }


def _simple(study: pl.DataFrame, sequences: Sequence[str]) -> dict[str, np.ndarray]:
    """Predictions (proteins,) of the simplest reference predictors, by name."""
    fit, stop = ((study["split"] == split).to_numpy() for split in ("fit", "stop"))
    tm = study["tm"].cast(pl.Float64).to_numpy()
    model = fit_ridge(composition(study["sequence"].to_list()), tm, fit, stop)
    return {
        "median": np.full(len(sequences), float(np.median(tm[fit | stop]))),
        "ridge": model.predict(composition(list(sequences))),
    }


def external_facts(name: str, proteins: pl.DataFrame, opened: pl.DataFrame, study: pl.DataFrame) -> pl.DataFrame:
    """The set's row of the table `external_sets`; arguments as those of `external_scores`."""
    fit = study.filter(pl.col("split") == "fit")
    row: Mapping[str, Any] = {
        "set": name,
        "proteins": len(proteins),
        "clusters": proteins["cluster"].n_unique(),
        "in_study": int(proteins["in_study"].is_not_null().sum()),
        "homologous": int(proteins["homologous"].sum()),
        "identity": proteins["identity"].median(),
        "domain_auroc": domain_auroc(fit["sequence"].to_list(), proteins["sequence"].to_list()),
        "tm_mean": opened["tm"].mean(),
        "tm_sd": opened["tm"].std(),
        "fit_tm_mean": fit["tm"].mean(),
    }
    return table([dict(row)], EXTERNAL_SETS)


def domain_auroc(ours: list[str], theirs: list[str]) -> float | None:
    """How well a logistic regression on composition and length tells two sets of proteins apart.

    Cross-validated: 0.5 for two draws from one domain, 1 for two that can always be told apart (a classifier two-sample
    test). None with too few proteins.
    """
    draw = np.random.default_rng(0)
    ours, theirs = ([part[i] for i in sorted(draw.permutation(len(part))[:DOMAIN_MOST])] for part in (ours, theirs))
    if min(len(ours), len(theirs)) < DOMAIN_LEAST:
        return None
    features = composition([*ours, *theirs])
    side = np.repeat([0, 1], [len(ours), len(theirs)])
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    with threadpool_limits(1):  # sums of several threads differ in their last digits
        decided = cross_val_predict(model, features, side, cv=folds, method="decision_function")
    return float(roc_auc_score(side, decided))


def external_winner_predictions(
    predicted: Sequence[pl.DataFrame], plan: pl.DataFrame, opened: pl.DataFrame
) -> pl.DataFrame:
    """Each winner's and the baseline's mean prediction per protein (columns of `winner_predictions`)."""
    return typed(winner_predictions(plan, confirmed_on(predicted, opened)), WINNER_PREDICTIONS)
