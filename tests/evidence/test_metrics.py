"""Scores against cases worked out by hand and against scipy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from tmelt.evidence.metrics import rank_correlation, score, within_organism_correlation


def test_scores_of_a_hand_worked_case():
    tm = np.array([40.0, 50.0, 60.0])
    found = score(np.array([[42.0, 50.0, 57.0]]), tm, [None] * 3)
    assert found["mae"][0] == pytest.approx(5 / 3)
    assert found["rmse"][0] == pytest.approx(np.sqrt(13 / 3))
    assert found["r2"][0] == pytest.approx(1 - 13 / 200)
    assert found["bias"][0] == pytest.approx(-1 / 3)
    assert found["spearman"][0] == pytest.approx(1)
    assert np.isnan(found["within_rho"][0])


def test_rank_correlation_is_scipys_ties_included():
    rng = np.random.default_rng(0)
    predictions, tm = rng.integers(5, size=(4, 30)).astype(float), rng.integers(6, size=30).astype(float)
    assert rank_correlation(predictions, tm) == pytest.approx([spearmanr(row, tm)[0] for row in predictions])


def test_correlation_within_organisms_is_weighted_and_leaves_small_ones_out():
    tm = np.concatenate([np.arange(10.0), np.arange(20.0), np.arange(7.0)])
    prediction = np.concatenate([np.arange(10.0), -np.arange(20.0), np.arange(7.0)])
    organisms = ["a"] * 10 + ["b"] * 20 + ["small"] * 7
    assert within_organism_correlation(prediction, tm, organisms)[0] == pytest.approx((10 - 20) / 30)


def test_a_model_that_knows_only_the_organism_ranks_nothing_within_it():
    tm = np.arange(20.0)
    prediction = np.array([40.0] * 10 + [60.0] * 10)
    organisms = ["a"] * 10 + ["b"] * 10
    assert within_organism_correlation(prediction, tm, organisms)[0] == 0
    assert rank_correlation(prediction, tm)[0] > 0.8


def test_no_proteins_and_constant_measurements_have_no_scores():
    assert all(np.isnan(values).all() for values in score(np.empty((2, 0)), np.empty(0), []).values())
    found = score(np.array([[1.0, 2.0]]), np.array([5.0, 5.0]), [None, None])
    assert np.isnan(found["r2"][0]) and np.isnan(found["spearman"][0]) and found["mae"][0] == 3.5
