"""Scores of rankings and picks against scikit-learn, SciPy and worlds with known truth."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from tmelt.evidence.endpoints import ALL_NAMES, Measured, Model, enrichment, ranking_score, score_rows


def measured(tm, **more):
    about = {"clusters": np.arange(len(tm)), "organisms": [None] * len(tm), "parents": [None] * len(tm)}
    return Measured(tm=np.asarray(tm, float), **about | more)


def value(rows, metric):
    return next(row for row in rows if row["metric"] == metric)


@pytest.mark.parametrize("digits", [8, 0])
def test_rankings_are_scikit_learns_ties_included(digits):
    random = np.random.default_rng(1)
    predictions = np.round(random.normal(50, 3, (4, 120)), digits)
    positive = random.random(120) < 0.2
    found = {name: ranking_score(name, predictions, positive) for name in ("auroc", "average_precision")}
    assert found["auroc"] == pytest.approx([roc_auc_score(positive, row) for row in predictions])
    assert found["average_precision"] == pytest.approx([average_precision_score(positive, row) for row in predictions])
    assert np.isnan(ranking_score("auroc", predictions, np.ones(120, bool))).all()


def test_enrichment_of_hand_worked_cases():
    positive = np.array([True, True, False, False, False, False, False, False, False, False])
    best, worst, equal = np.arange(10.0)[::-1], np.arange(10.0), np.zeros(10)
    # Both picks are positive, and 2 of 10 proteins are: 5 times as many. Equal predictions pick as chance does.
    assert enrichment(np.stack([best, worst, equal]), positive, 0.2) == pytest.approx([5, 0, 1])
    half = np.array([3.0, 1, 1, 1, 0, 0, 0, 0, 0, 0])  # one pick is a hit, the other one of three with one hit
    assert enrichment(half[None], positive, 0.2) == pytest.approx([(1 + 1 / 3) / 2 / 0.2])


def test_ranks_among_the_variants_of_each_parent():
    random = np.random.default_rng(2)
    parents = np.repeat(["a", "b", "c"], [10, 20, 2])
    tm = np.repeat([40.0, 60.0, 80.0], [10, 20, 2]) + random.normal(0, 1, 32)  # of different parents
    prediction = tm + random.normal(0, 1, 32)
    names = [*parents, None]
    world = measured(np.append(tm, 100.0), parents=names, clusters=np.array([*parents, "d"]))
    found = score_rows(Model([np.append(prediction, 0.0)[None]], None, ("x",)), world, ["parent_rho"])
    expected = sum(n * spearmanr(prediction[parents == p], tm[parents == p])[0] for p, n in (("a", 10), ("b", 20))) / 30
    assert value(found, "parent_rho")["value"] == pytest.approx(expected)  # two variants of c rank nothing


def test_intervals_hold_the_truth_of_simulated_worlds():
    """95 % intervals of AUROC and ρ over proteins and three seeds, against what an endless sample would give."""
    proteins, noise, shared = 150, 0.5, 0.4
    big = np.random.default_rng(0)
    tm = big.normal(size=400_000)
    endless = tm + big.normal(0, np.hypot(noise, shared), len(tm))
    truth = {"auroc": roc_auc_score(tm >= 0.5, endless), "spearman": spearmanr(endless, tm)[0]}
    held = dict.fromkeys(truth, 0)
    worlds = 80
    for number in range(worlds):
        random = np.random.default_rng([number, 3])
        tm = random.normal(size=proteins)
        common = random.normal(0, shared, proteins)
        predictions = tm + common + random.normal(0, noise, (3, proteins))
        rows = score_rows(Model([predictions], [[1, 2, 3]], ("x",)), measured(tm, threshold=0.5), list(truth))
        for name, true in truth.items():
            row = value(rows, name)
            assert row["low"] < row["value"] < row["high"]
            held[name] += row["low"] <= true <= row["high"]
    # 0.95 of 80 worlds is 76; fewer than 70 has a probability below 1 %.
    assert min(held.values()) >= 70, held


def test_scores_without_meaning_are_left_out_or_say_why():
    tm = np.linspace(40, 60, 30)
    rows = score_rows(Model([np.full((1, 30), 50.0)], None, ("flat",)), measured(tm, threshold=70.0), ALL_NAMES)
    names = {row["metric"] for row in rows}
    assert not names & {"within_rho", "parent_rho"}  # neither groups nor parents are known
    for metric in ("auroc", "average_precision", "spearman", "enrichment"):
        assert value(rows, metric)["value"] is None and "undefined" in value(rows, metric)["note"]
    assert value(rows, "mae")["value"] == pytest.approx(np.abs(50 - tm).mean())
    perfect = score_rows(Model([tm[None]], None, ("perfect",)), measured(tm, threshold=50.0), ["auroc"])
    assert perfect[0]["value"] == 1 and perfect[0]["low"] is None and "no interval" in perfect[0]["note"]
    without = {row["metric"] for row in score_rows(Model([tm[None]], None, ("x",)), measured(tm), ALL_NAMES)}
    assert "auroc" not in without and "enrichment" in without  # no threshold: the highest tenth counts


def test_winners_that_are_equal_count_as_one_search():
    random = np.random.default_rng(4)
    tm = random.normal(50, 5, 60)
    one = tm + random.normal(0, 2, (2, 60))
    other = tm + random.normal(0, 4, (2, 60))
    seeds = [[1, 2], [1, 2]]
    same = score_rows(Model([one, one], seeds, ("a", "a")), measured(tm), ["spearman"])[0]
    single = score_rows(Model([one], seeds[:1], ("a",)), measured(tm), ["spearman"])[0]
    two = score_rows(Model([one, other], seeds, ("a", "b")), measured(tm), ["spearman"])[0]
    assert same == single and two["value"] < single["value"]
    assert two["high"] - two["low"] > single["high"] - single["low"]
