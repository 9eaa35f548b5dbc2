"""The reference predictor as numbers: the same predictions as its model, and nothing else is read as one."""

import json

import numpy as np
import polars as pl
import pytest
from proteins_tables import sequence

from tmelt.bundle.reference import FITTED, fit_reference, read_reference
from tmelt.errors import InputError
from tmelt.evidence.floors import composition, dipeptides, ridge, small_mlp

COUNT = 120


@pytest.fixture(scope="module")
def proteins():
    splits = ["fit"] * 60 + ["stop"] * 20 + ["val"] * 20 + ["select"] * 20
    tm = [45 + 200 * sequence(n).count("A") / 60 + n % 3 for n in range(COUNT)]
    return pl.DataFrame(
        {
            "protein_id": [f"p{n}" for n in range(COUNT)],
            "sequence": [sequence(n) for n in range(COUNT)],
            "split": splits,
            "tm": [value if split in ("fit", "stop") else None for value, split in zip(tm, splits, strict=True)],
            "truth": tm,
        }
    )


class Labels:
    """As much of Confirmed as is read."""

    def __init__(self, proteins):
        self.labels = proteins.select("protein_id", "split", tm="truth")

    def inside(self, split):
        return np.flatnonzero((self.labels["split"] == split).to_numpy())


def fitted(proteins, best):
    floors = pl.DataFrame(
        {"name": [*FITTED, "median"], "val_mae": [*(1.0 if name == best else 2.0 for name in FITTED), 0.1]}
    )
    return fit_reference(proteins, floors, Labels(proteins))


def expected(proteins, name):
    tm, sequences = proteins["tm"].to_numpy().astype(float), proteins["sequence"].to_list()
    fit, stop = ((proteins["split"] == split).to_numpy() for split in ("fit", "stop"))
    plain = composition(sequences)
    if name == "ridge":
        return ridge(plain, tm, fit, stop)
    if name == "ridge_dipeptides":
        return ridge(np.hstack([plain, dipeptides(sequences)]), tm, fit, stop)
    return np.mean([small_mlp(plain, tm, fit, stop, seed) for seed in (0, 1, 2)], axis=0)


@pytest.mark.parametrize("name", FITTED)
def test_it_predicts_what_its_model_does_after_a_journey_as_text(proteins, name):
    made = fitted(proteins, name)
    read = read_reference(made.to_json(), "b.zip")
    assert read.label == made.label and read.residuals == made.residuals
    found = read.predict(proteins["sequence"].to_list())
    assert found == pytest.approx(expected(proteins, name), abs=1e-9)
    select = (proteins["split"] == "select").to_numpy()
    assert list(read.residuals) == pytest.approx(sorted(np.abs(found - proteins["truth"].to_numpy())[select]))


def broken(text, change):
    raw = json.loads(text)
    change(raw)
    return json.dumps(raw)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.clear(),
        lambda raw: raw.update(networks=[]),
        lambda raw: raw.update(networks=raw["networks"] * 17),
        lambda raw: raw.update(pairs=not raw["pairs"]),
        lambda raw: raw["networks"][0].update(scale=[0.0] * 21),
        lambda raw: raw["networks"][0].update(mean=[1.0]),
        lambda raw: raw["networks"][0].update(mean=["x"] * 21),
        lambda raw: raw["networks"][0].update(shift=float("nan")),
        lambda raw: raw["networks"][0].update(layers=[]),
        lambda raw: raw["networks"][0]["layers"][0].update(bias=[1.0, 2.0]),
        lambda raw: raw["networks"][0]["layers"].append({"weights": [[1.0, 1.0]], "bias": [0.0, 0.0]}),
        lambda raw: raw.update(residuals=[2.0, 1.0]),
        lambda raw: raw.update(residuals=[-1.0]),
        lambda raw: raw.update(residuals="12"),
    ],
)
def test_nothing_else_is_read_as_a_predictor(proteins, change):
    text = fitted(proteins, "ridge").to_json()
    with pytest.raises(InputError, match=r"b.zip: reference.json holds no predictor"):
        read_reference(broken(text, change), "b.zip")
    with pytest.raises(InputError):
        read_reference("[" * 100_000, "b.zip")
