"""Do validation and test rank the trials of a search alike? Spearman's correlation along each search."""

import numpy as np
import polars as pl
from scipy import stats

from tmelt.evidence.incumbents import TRIAL_KEY, searches, trial_scores
from tmelt.evidence.metrics import none_if_nan, rank_correlation
from tmelt.evidence.replicates import chains
from tmelt.evidence.schema import AGREEMENT
from tmelt.evidence.tables import table

LEAST = 6  # scored trials of a search below which no correlation is given
ENOUGH = 3  # distinct searches from which the interval is over searches
_LEVEL = 0.95


def agreement(trials: pl.DataFrame, runs: pl.DataFrame) -> pl.DataFrame:
    """The table `agreement`: one row per search, and one per strategy (trajectory null)."""
    scores = trial_scores(runs).drop_nulls(["val_mae", "test_mae"]).select(*TRIAL_KEY, "val_mae", "test_mae")
    scores = scores.join(trials.filter(pl.col("fidelity") == 1), on=TRIAL_KEY, how="semi")  # cheap trials rank apart
    labels = chains(trials)
    rows = []
    for strategy in trials["strategy"].unique(maintain_order=True):
        own, distinct = [], {}
        for _, trajectory, part in searches(scores.filter(pl.col("strategy") == strategy).sort(TRIAL_KEY)):
            row = _search(part) | {"strategy": strategy, "trajectory": trajectory}
            own.append(row)
            if row["rho"] is not None:
                distinct.setdefault(labels[strategy, trajectory], (row["rho"], row["trials"]))
        rows += own
        if distinct:
            rho, low, high, covers = pooled(*zip(*distinct.values(), strict=True))
            rows.append(
                {
                    "strategy": strategy,
                    "trajectory": None,
                    "trials": sum(row["trials"] for row in own),
                    "rho": rho,
                    "low": low,
                    "high": high,
                    "covers": covers,
                    "note": None,
                }
            )
    return table(rows, AGREEMENT)


def _search(part: pl.DataFrame) -> dict:
    row = {"trials": len(part), "rho": None, "low": None, "high": None, "covers": None, "note": None}
    if len(part) < LEAST:
        return row | {"note": f"fewer than {LEAST} scored trials"}
    val, test = part["val_mae"].to_numpy(), part["test_mae"].to_numpy()
    rho = none_if_nan(float(rank_correlation(val, test)[0]))
    if rho is None:
        return row | {"note": "all trials have the same error"}
    _, low, high, covers = pooled([rho], [len(part)])
    return row | {"rho": rho, "low": low, "high": high, "covers": covers}


def pooled(rhos: list[float], trials: list[int]) -> tuple[float, float, float, str]:
    """(mean correlation, its 95 % interval, what the interval covers) on Fisher's scale.

    From ENOUGH distinct searches on Student's t over searches. With fewer the trials of a search count as independent
    (variance (1 + rho²/2) / (n − 3); Bonett & Wright 2000): trials that follow one another are alike, so such an
    interval is too narrow for another search.

    Args:
        rhos, trials: of each distinct search its Spearman correlation and its number of scored trials.
    """
    most = 1 - 1 / np.asarray(trials)  # a perfect correlation of few trials is not infinitely sure
    z = np.arctanh(np.clip(rhos, -most, most))
    mean = float(z.mean())
    if len(z) >= ENOUGH:
        half = float(stats.t.ppf((1 + _LEVEL) / 2, len(z) - 1) * z.std(ddof=1) / np.sqrt(len(z)))
        covers = "searches"
    else:
        variances = (1 + np.asarray(rhos) ** 2 / 2) / (np.asarray(trials) - 3)
        half = float(stats.norm.ppf((1 + _LEVEL) / 2) * np.sqrt(variances.sum()) / len(z))
        covers = "trials"
    return float(np.tanh(mean)), float(np.tanh(mean - half)), float(np.tanh(mean + half)), covers
