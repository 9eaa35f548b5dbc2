"""Reference predictors and oracles: what an MAE is compared with, and the noise that cannot be predicted."""

import warnings
from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tmelt.errors import InputError
from tmelt.evidence.error_model import Arm, estimate
from tmelt.evidence.metrics import none_if_nan, score
from tmelt.evidence.schema import FLOORS, WINNER_PREDICTIONS
from tmelt.evidence.tables import table
from tmelt.evidence.winners import predictions_frame
from tmelt.proteins.clean import AMINO_ACIDS
from tmelt.proteins.record import DataRecord
from tmelt.study.group import ORGANISMS, Group

RIDGE_STRENGTHS = 10.0 ** np.arange(-3, 5)
MLP_SEEDS = (0, 1, 2)
LABELS = {
    "median": "median of training",
    "ridge": "ridge on composition and ln length",
    "ridge_dipeptides": "ridge on composition, dipeptides and ln length",
    "mlp": "small MLP on composition and ln length",
}
# Keys of `generator.floors` in the data.json of synthetic data, per split: what its maker knows.
BOUNDS = {
    "noise": ("expected_mae", "measurement noise alone (expected)"),
    "best_reachable": ("sequence_only_mae", "reference: data generator without the organism"),
}


def composition(sequences: list[str]) -> np.ndarray:
    """Fractions of the 20 residues and ln length, (proteins, 21)."""
    codes = np.zeros((len(sequences), len(AMINO_ACIDS) + 1))
    for row, sequence in zip(codes, sequences, strict=True):
        row[:-1] = np.array([sequence.count(residue) for residue in AMINO_ACIDS]) / len(sequence)
        row[-1] = np.log(len(sequence))
    return codes


def dipeptides(sequences: list[str]) -> np.ndarray:
    """Fractions of the 400 neighbouring pairs, (proteins, 400); pairs with another letter do not count."""
    codes = np.full(256, -1)
    codes[np.frombuffer(AMINO_ACIDS.encode(), np.uint8)] = np.arange(len(AMINO_ACIDS))
    found = np.zeros((len(sequences), 400))
    for row, sequence in zip(found, sequences, strict=True):
        letters = codes[np.frombuffer(sequence.encode("ascii"), np.uint8)]
        pairs = letters[:-1] * 20 + letters[1:]
        pairs = pairs[(letters[:-1] >= 0) & (letters[1:] >= 0)]
        row += np.bincount(pairs, minlength=400) / max(1, len(sequence) - 1)
    return found


def ridge(features: np.ndarray, tm: np.ndarray, fit: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Ridge regression, its strength chosen on stop by MAE, then refitted on fit and stop: (proteins,) in target units.

    Args:
        features: (proteins, k) of all proteins.
        tm: (proteins,); NaN outside fit and stop.
        fit, stop: (proteins,) bool.
    """
    return fit_ridge(features, tm, fit, stop).predict(features)


def fit_ridge(features: np.ndarray, tm: np.ndarray, fit: np.ndarray, stop: np.ndarray) -> Any:
    """Return the fitted model of `ridge`, which has the same arguments."""
    known = fit | stop
    model: Any = make_pipeline(StandardScaler(), Ridge())
    if stop.any():
        held_out = PredefinedSplit(np.where(stop, 0, -1)[known])
        strengths = {"ridge__alpha": RIDGE_STRENGTHS}
        model = GridSearchCV(model, strengths, scoring="neg_mean_absolute_error", cv=held_out, error_score="raise")
    return model.fit(features[known], tm[known])


def small_mlp(features: np.ndarray, tm: np.ndarray, fit: np.ndarray, stop: np.ndarray, seed: int) -> np.ndarray:
    """A multilayer perceptron (64-64, ReLU), stopped early on a tenth of fit and stop: (proteins,) in target units."""
    model = fit_small_mlp(features, tm, fit, stop, seed)
    with threadpool_limits(1):  # sums of several threads differ in their last digits
        return model.predict(features)


def fit_small_mlp(features: np.ndarray, tm: np.ndarray, fit: np.ndarray, stop: np.ndarray, seed: int) -> Any:
    """Return the fitted model of `small_mlp`, which has the same arguments."""
    known = fit | stop
    rows = int(known.sum())
    network = MLPRegressor(
        hidden_layer_sizes=(64, 64),
        alpha=1.0,
        batch_size=max(1, min(64, int(0.9 * rows))),
        learning_rate_init=2e-3,
        early_stopping=rows >= 20,
        n_iter_no_change=20,
        random_state=seed,
    )
    model = TransformedTargetRegressor(make_pipeline(StandardScaler(), network), transformer=StandardScaler())
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features[known], tm[known])


def organism_means(proteins: pl.DataFrame) -> np.ndarray:
    """The mean label of each protein's organism in fit and stop; the mean of all for an unknown organism."""
    known = proteins.filter(pl.col("tm").is_not_null())
    means = known.drop_nulls("organism").group_by("organism").agg(mean=pl.col("tm").mean())
    joined = proteins.join(means, on="organism", how="left", maintain_order="left")
    return joined["mean"].fill_null(known["tm"].mean()).to_numpy()


def floors(
    proteins: pl.DataFrame, labels: pl.DataFrame, facts: DataRecord, group: Group = ORGANISMS
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables `floors` and `floor_predictions` (columns of `winner_predictions`).

    Args:
        proteins: proteins.parquet, with tm for fit and stop.
        labels: tmelt.evidence.schema.OPENED_LABELS.
        facts: data.json; `generator.floors` of synthetic data are its maker's bounds.

    Raises:
        InputError: no training proteins.
    """
    fit, stop = ((proteins["split"] == split).to_numpy() for split in ("fit", "stop"))
    tm = proteins["tm"].cast(pl.Float64).to_numpy()
    if not fit.any():
        raise InputError("proteins: no protein in split fit: no trivial predictor can be made")
    sequences = proteins["sequence"].to_list()
    plain = composition(sequences)
    with_pairs = np.hstack([plain, dipeptides(sequences)])
    predictors = {
        "median": np.full((1, len(tm)), np.median(tm[fit | stop])),
        "ridge": ridge(plain, tm, fit, stop)[None],
        "ridge_dipeptides": ridge(with_pairs, tm, fit, stop)[None],
        "mlp": np.stack([small_mlp(plain, tm, fit, stop, seed) for seed in MLP_SEEDS]),
    }
    if proteins["organism"].null_count() < len(proteins):
        predictors["organism"] = organism_means(proteins)[None]
    place = dict(zip(proteins["protein_id"], range(len(proteins)), strict=True))
    order = [place[name] for name in labels["protein_id"]]
    rows, frames = [], []
    for name, predictions in predictors.items():
        chosen = predictions[:, order]
        rows.append(_floor_row(name, chosen.mean(axis=0), len(chosen), labels, group))
        frames.append(predictions_frame(labels, chosen, role="floor", strategy=name, trajectory=None))
    rows += _bounds(facts)
    return table(rows, FLOORS), pl.concat(frames) if frames else table([], WINNER_PREDICTIONS)


def _floor_row(name: str, prediction: np.ndarray, seeds: int, labels: pl.DataFrame, group: Group) -> dict[str, Any]:
    """One predictor's row.

    Args:
        prediction: (proteins,) in target units, the mean over its seeds: a reference predictor is one fixed predictor.
    """
    tm, organisms = labels["tm"].to_numpy(), labels["organism"].to_list()
    inside = {split: np.flatnonzero((labels["split"] == split).to_numpy()) for split in ("val", "test")}
    scores = {
        split: {
            key: float(values[0])
            for key, values in score(prediction[rows], tm[rows], [organisms[i] for i in rows]).items()
        }
        for split, rows in inside.items()
    }
    rows, low, high = inside["test"], None, None
    if len(rows):
        errors = Arm.single(np.abs(prediction[rows] - tm[rows]))
        low, high = estimate(errors, None, labels["cluster"].to_numpy()[rows]).interval()
    oracle = name == "organism"
    knows = f"oracle: knows the {group.name}, which no candidate does"
    note = knows if oracle else f"mean prediction of {seeds} seeds" if seeds > 1 else None
    return {
        "name": name,
        "label": f"{group.name} mean (oracle)" if oracle else LABELS[name],
        "kind": "oracle" if oracle else "predictor",
        "val_mae": none_if_nan(scores["val"]["mae"]),
        "test_mae": none_if_nan(scores["test"]["mae"]),
        "low": low,
        "high": high,
        "note": note,
    } | {f"test_{key}": none_if_nan(scores["test"][key]) for key in ("rmse", "r2", "spearman", "within_rho")}


def _bounds(facts: DataRecord) -> list[dict[str, Any]]:
    """What a synthetic data set's maker knows; nothing for measured data."""
    known = facts.bounds
    rows = []
    for name, (key, label) in BOUNDS.items():
        values = {split: (known.get(split) or {}).get(key) for split in ("val", "test")}
        if values["test"] is not None:
            rows.append(
                dict.fromkeys(FLOORS.names)
                | {"name": name, "label": label, "kind": "bound", "note": "synthetic data: known from the generator"}
                | {f"{split}_mae": value for split, value in values.items()}
            )
    return rows
