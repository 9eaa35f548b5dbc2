"""The best reference predictor of a study as numbers in its bundle: `tmelt predict --reference`.

It needs neither embeddings nor a sandbox: networks of composition and length (a ridge regression is one of a single
layer), averaged. `reference.json` comes from the bundle's author, so every number in it is checked when it is read.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tmelt.errors import InputError
from tmelt.evidence.floors import LABELS, MLP_SEEDS, composition, dipeptides, fit_ridge, fit_small_mlp
from tmelt.evidence.winners import Confirmed

FITTED = ("ridge", "ridge_dipeptides", "mlp")  # of the reference predictors, those that see a sequence
_MOST_NETWORKS, _MOST_LAYERS = 16, 8

Layer = tuple[np.ndarray, np.ndarray]  # (inputs, outputs), (outputs,)


@dataclass(frozen=True)
class Network:
    """Standardisation, layers with ReLU between them, and the scale of the output."""

    mean: np.ndarray  # (features,)
    scale: np.ndarray
    layers: tuple[Layer, ...]
    shift: float = 0.0
    factor: float = 1.0

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Predict from (proteins, features): (proteins,)."""
        values = (features - self.mean) / self.scale
        for number, (weights, bias) in enumerate(self.layers):
            values = (np.maximum(values, 0.0) if number else values) @ weights + bias
        return values[:, 0] * self.factor + self.shift


@dataclass(frozen=True)
class Reference:
    """A reference predictor that was fitted, with its absolute errors on select, ascending."""

    label: str
    pairs: bool  # whether it sees dipeptides
    networks: tuple[Network, ...]
    residuals: tuple[float, ...]

    def predict(self, sequences: Sequence[str]) -> np.ndarray:
        """Predict each sequence: (proteins,) in the unit of the labels."""
        features = _features(list(sequences), self.pairs)
        return np.mean([network(features) for network in self.networks], axis=0)

    def to_json(self) -> str:
        """Return it as the text of reference.json."""
        networks = [
            {
                "mean": network.mean.tolist(),
                "scale": network.scale.tolist(),
                "layers": [{"weights": weights.tolist(), "bias": bias.tolist()} for weights, bias in network.layers],
                "shift": network.shift,
                "factor": network.factor,
            }
            for network in self.networks
        ]
        told = {"label": self.label, "pairs": self.pairs, "networks": networks, "residuals": list(self.residuals)}
        return json.dumps(told, allow_nan=False) + "\n"


def fit_reference(proteins: pl.DataFrame, floors: pl.DataFrame, confirmed: Confirmed) -> Reference:
    """Fit the reference predictor with the lowest validation error once more, as the table `floors` did.

    Args:
        proteins: proteins.parquet.
        floors: the table of this name.
        confirmed: with the labels of select, for the residuals.
    """
    known = floors.filter(pl.col("name").is_in(FITTED)).sort("val_mae", nulls_last=True)
    name = known["name"][0]
    fit, stop = ((proteins["split"] == split).to_numpy() for split in ("fit", "stop"))
    tm, pairs = proteins["tm"].cast(pl.Float64).to_numpy(), name == "ridge_dipeptides"
    features = _features(proteins["sequence"].to_list(), pairs)
    if name == "mlp":
        networks = [_of_mlp(fit_small_mlp(features, tm, fit, stop, seed)) for seed in MLP_SEEDS]
    else:
        networks = [_of_ridge(fit_ridge(features, tm, fit, stop))]
    reference = Reference(LABELS[name], pairs, tuple(networks), ())
    labels = confirmed.labels[confirmed.inside("select").tolist()]
    rows = labels.join(proteins.select("protein_id", "sequence"), on="protein_id", how="left", maintain_order="left")
    errors = np.abs(reference.predict(rows["sequence"].to_list()) - rows["tm"].to_numpy())
    return Reference(reference.label, pairs, reference.networks, tuple(sorted(map(float, errors))))


def read_reference(text: str, path: object) -> Reference:
    """Read reference.json, whose content is untrusted.

    Raises:
        InputError: it is not what `Reference.to_json` writes.
    """
    try:
        raw = json.loads(text)
        networks = tuple(_network(one, 421 if raw["pairs"] else 21) for one in raw["networks"])
        residuals = tuple(_array(raw["residuals"], len(raw["residuals"])).tolist())
        if (
            not 1 <= len(networks) <= _MOST_NETWORKS
            or list(residuals) != sorted(residuals)
            or min(residuals, default=0) < 0
        ):
            raise ValueError
        return Reference(str(raw["label"])[:200], bool(raw["pairs"]), networks, residuals)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise InputError(f"{path}: reference.json holds no predictor; copy the bundle again from its study") from None


def _network(raw: Any, features: int) -> Network:
    mean, scale = _array(raw["mean"], features), _array(raw["scale"], features)
    width, layers = features, []
    if not 1 <= len(raw["layers"]) <= _MOST_LAYERS or not scale.all():
        raise ValueError
    for layer in raw["layers"]:
        bias = _array(layer["bias"], len(layer["bias"]))
        layers.append((_array(layer["weights"], width, len(bias)), bias))
        width = len(bias)
    if width != 1:
        raise ValueError
    return Network(mean, scale, tuple(layers), _finite(raw["shift"]), _finite(raw["factor"]))


def _array(raw: Any, *shape: int) -> np.ndarray:
    values = np.asarray(raw, dtype=np.float64)
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError
    return values


def _finite(raw: Any) -> float:
    value = float(raw)
    if not math.isfinite(value):
        raise ValueError
    return value


def _features(sequences: list[str], pairs: bool) -> np.ndarray:
    plain = composition(sequences)
    return np.hstack([plain, dipeptides(sequences)]) if pairs else plain


def _of_ridge(model: Any) -> Network:
    pipeline = getattr(model, "best_estimator_", model)  # of a search over strengths
    scaler, ridge = pipeline[0], pipeline[1]
    return Network(scaler.mean_, scaler.scale_, ((ridge.coef_.reshape(-1, 1), np.array([ridge.intercept_])),))


def _of_mlp(model: Any) -> Network:
    scaler, network = model.regressor_[0], model.regressor_[1]
    layers = tuple(zip(network.coefs_, network.intercepts_, strict=True))
    output = model.transformer_
    return Network(scaler.mean_, scaler.scale_, layers, float(output.mean_[0]), float(output.scale_[0]))
